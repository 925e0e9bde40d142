import { MeshError } from "../mesh/errors.ts";
import { StoreError } from "../store/store.ts";
import { type Address, formatAddress } from "./address.ts";
import { UsageError } from "./usage-error.ts";

/**
 * Runs what a command does to begin. What a second try would not mend, such as a taken port or a
 * store of a newer release, is thrown as a UsageError that says what to do; anything else as it is.
 */
export async function begin<T>(listen: Address, start: () => Promise<T>): Promise<T> {
  try {
    return await start();
  } catch (thrown) {
    const text = describe(thrown, listen);
    if (text === undefined) throw thrown;
    throw new UsageError(text);
  }
}

function describe(thrown: unknown, listen: Address): string | undefined {
  if (thrown instanceof MeshError || thrown instanceof StoreError) return thrown.message;
  if (!(thrown instanceof Error) || !("code" in thrown)) return undefined;
  const address = formatAddress(listen);
  const atPort = "syscall" in thrown && thrown.syscall === "listen";
  switch (thrown.code) {
    case "EADDRINUSE":
      return `something listens at ${address} already: stop it, or choose another --listen`;
    case "EADDRNOTAVAIL":
    case "ENOTFOUND":
      return `this machine has no address ${address}: choose another --listen`;
    case "EACCES":
    case "EPERM":
      if (!atPort) return `${thrown.message}: give this process's user the right to it`;
      return `this process's user may not listen at ${address}: choose a port above 1023`;
    case "ENOENT":
    case "ENOTDIR":
    case "EISDIR":
    case "EROFS":
      return thrown.message;
    default:
      return undefined;
  }
}
