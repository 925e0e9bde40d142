import type { Transport } from "@connectrpc/connect";
import type { Caller } from "./caller.ts";
import type { Settings } from "./options.ts";

/**
 * Calls over connect-node, which is loaded by the first call: those who speak gRPC do not pay for
 * it.
 */
export function createConnectCaller(settings: Settings): Caller {
  let opened: Promise<Opened> | undefined;
  let closed = false;
  const open = (): Promise<Opened> => {
    opened ??= import("./connect-transport.ts").then((module) => module.openTransport(settings));
    return opened;
  };
  return {
    unary: async (method, input, { timeoutMs, signal }) => {
      const { transport, asWeirError, header } = await open();
      try {
        const answer = await transport.unary(method, signal, timeoutMs, header(), input);
        return answer.message;
      } catch (error) {
        throw asWeirError(error, signal);
      }
    },
    stream: async function* (method, input, { timeoutMs, signal }) {
      const { transport, asWeirError, header } = await open();
      const stop = new AbortController();
      const abort = (): void => stop.abort(signal?.reason);
      signal?.addEventListener("abort", abort);
      try {
        const inputs = once(input);
        const answer = await transport.stream(method, stop.signal, timeoutMs, header(), inputs);
        yield* answer.message;
      } catch (error) {
        throw asWeirError(error, signal);
      } finally {
        signal?.removeEventListener("abort", abort);
        stop.abort();
      }
    },
    close: () => {
      if (closed) return;
      closed = true;
      opened?.then(
        ({ close }) => close(),
        () => {},
      );
    },
  };
}

/** A transport and what belongs to it. */
export interface Opened {
  readonly transport: Transport;
  header(): Record<string, string>;
  asWeirError(thrown: unknown, signal?: AbortSignal): Error;
  close(): void;
}

async function* once<T>(item: T): AsyncGenerator<T, void, undefined> {
  yield item;
}
