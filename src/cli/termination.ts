/** How a long-running command ends. */
export interface Ending {
  /** The first signal: finish what runs. */
  drain(): Promise<void>;
  /** The second signal: let everything fall. */
  abandon(): void;
}

/**
 * Waits for SIGTERM or SIGINT, drains, and resolves with the exit code. A second signal does not
 * wait. A child of `weir serve` also drains when its parent is gone, and leaves Ctrl-C, which the
 * terminal sends to all, to its parent.
 */
export function onTermination(ending: Ending): Promise<number> {
  return new Promise((resolve) => {
    let draining = false;
    const end = (): void => {
      if (draining) {
        ending.abandon();
        process.exit(1);
      }
      draining = true;
      ending.drain().then(
        () => resolve(0),
        () => resolve(1),
      );
    };
    process.on("SIGTERM", end);
    if (process.send === undefined) {
      process.on("SIGINT", end);
    } else {
      process.on("SIGINT", () => {});
      process.on("disconnect", end);
    }
  });
}
