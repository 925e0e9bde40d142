/** How a long-running command ends. */
export interface Ending {
  /** The first signal: finish what runs. */
  drain(): Promise<void>;
  /** The second signal: let everything fall. */
  abandon(): void;
  /** True for a child of `weir serve` that its siblings need while they drain. */
  readonly outlastsSiblings?: boolean;
}

/** What `weir serve` tells a child that shall drain. */
export const DRAIN_MESSAGE = "drain";

/** Set by `weir serve` for its children: other supervisors have channels to theirs too. */
export const CHILD_VARIABLE = "WEIR_CHILD_OF_SERVE";

/**
 * Waits for SIGTERM or SIGINT, drains, and resolves with the exit code. A second signal does not
 * wait.
 *
 * A child of `weir serve` drains when its parent says so or is gone. Terminals and supervisors such
 * as systemd signal all processes at once, and then the parent does too, so that a second signal
 * means nothing to a child: in a hurry the parent kills it.
 */
export function onTermination(ending: Ending): Promise<number> {
  return new Promise((resolve) => {
    let draining = false;
    const drain = (): void => {
      if (draining) return;
      draining = true;
      ending.drain().then(
        () => resolve(0),
        () => resolve(1),
      );
    };
    if (process.send === undefined || process.env[CHILD_VARIABLE] === undefined) {
      const end = (): void => {
        if (draining) {
          ending.abandon();
          process.exit(1);
        }
        drain();
      };
      process.on("SIGTERM", end);
      process.on("SIGINT", end);
      return;
    }
    process.on("SIGINT", ignore);
    process.on("SIGTERM", ending.outlastsSiblings === true ? ignore : drain);
    process.on("disconnect", drain);
    // The parent may have died while this process was starting, and nobody says so twice.
    if (!process.connected) drain();
    process.on("message", (message) => {
      if (message === DRAIN_MESSAGE) drain();
    });
  });
}

function ignore(): void {}
