/** Wakes one waiter: told while nobody waits, it remembers that once. */
export interface Wake {
  tell(): void;
  /** Resolves at once when told since the last time, else when told next. */
  told(): Promise<void>;
}

export function createWake(): Wake {
  let pending = false;
  let waiting: (() => void) | undefined;
  return {
    tell: () => {
      if (waiting === undefined) {
        pending = true;
        return;
      }
      const resolve = waiting;
      waiting = undefined;
      resolve();
    },
    told: () => {
      if (pending) {
        pending = false;
        return Promise.resolve();
      }
      return new Promise((resolve) => {
        waiting = resolve;
      });
    },
  };
}
