import type { MeshError } from "../mesh/errors.ts";

/** What comes of the bytes of a response. */
export interface AnswerBody {
  push(bytes: Buffer): void;
  /** The upstream has sent everything. */
  end(): void;
  /** The exchange is over: nothing more will come, and nothing is wanted. */
  drop(): void;
}

/** What a body may do to the exchange that feeds it. */
export interface BodyFlow {
  /** Stops reading from the upstream: what has been read already still comes. */
  pause(): void;
  resume(): void;
  /** Ends the exchange as failed, and the connection with it. */
  fail(error: MeshError): void;
}
