import type { Server } from "node:net";

/** Tells the parent process on stdout where a server listens. */
export function announceReady(server: Server): void {
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  process.stdout.write(`${JSON.stringify({ port })}\n`);
}
