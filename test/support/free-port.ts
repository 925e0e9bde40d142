import { createServer } from "node:net";

/**
 * Beyond those that engines of this machine would be looked for at, and below those that the system
 * gives away by itself: what is free here stays so until it is listened at.
 */
const FIRST = 20_000;
const COUNT = 12_000;

/** A port that nobody listens at, and that nobody gets who asks the system for any. */
export async function findFreePort(): Promise<number> {
  for (;;) {
    const port = FIRST + Math.floor(Math.random() * COUNT);
    if (await isFree(port)) return port;
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    // At all addresses, so that it is free at each.
    server.listen(port, () => server.close(() => resolve(true)));
  });
}
