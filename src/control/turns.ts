import { MeshError } from "../mesh/errors.ts";

/** Lets one task run at a time, in the order of their coming. */
export interface Turns {
  /** Throws UNAVAILABLE when too many wait already; else what the task throws. */
  run<T>(task: () => Promise<T>): Promise<T>;
}

const WAITING_MAX = 1000;

export function createTurns(): Turns {
  let last: Promise<unknown> = Promise.resolve();
  let waiting = 0;
  return {
    run: async (task) => {
      if (waiting >= WAITING_MAX) {
        throw new MeshError("UNAVAILABLE", "Too many writes wait already. Try again in a moment.", {
          retryAfterMs: 1000,
        });
      }
      waiting += 1;
      const mine = last.then(task, task);
      last = mine;
      try {
        return await mine;
      } finally {
        waiting -= 1;
      }
    },
  };
}
