import type { MeshError } from "../../mesh/errors.ts";

/** What the REST door may be told; `defaultRestOptions` has the rest. */
export interface RestOptions {
  /** Largest request body, after decompression too. */
  readonly bodyBytesMax: number;
  /** Largest sum of the bodies that are open at once; beyond it callers are told to come back. */
  readonly openBytesMax: number;
  /**
   * Deepest nesting of a request's JSON: enough for any tool's schema, and safe for every reader
   * behind the door.
   */
  readonly jsonDepthMax: number;
  /**
   * How long an HTTP/2 request may take to send its body. On HTTP/1.1 the port watches over that.
   */
  readonly bodyTimeoutMs: number;
  /**
   * A stream that is silent for longer gets a comment, so that nothing between takes it for dead.
   */
  readonly silenceMs: number;
  /** Told of each fault of ours that no record tells of. */
  failed(error: MeshError, requestId: string): void;
}

export const defaultRestOptions: RestOptions = {
  bodyBytesMax: 32 * 1024 * 1024,
  openBytesMax: 512 * 1024 * 1024,
  jsonDepthMax: 512,
  bodyTimeoutMs: 300_000,
  silenceMs: 15_000,
  failed: () => {},
};
