import type { Finish } from "../../gen/weir/v1/chat_pb.ts";
import type { EmbedResponse } from "../../gen/weir/v1/embed_service_pb.ts";
import type { Usage } from "../../gen/weir/v1/usage_pb.ts";
import type { ChatAsk, EmbedAsk } from "./ask.ts";
import type { Cancellation } from "./cancellation.ts";
import type { ChatChunk, WireForm } from "./chunk.ts";
import type { Target } from "./target.ts";

/**
 * How routing calls one target once. Implemented by `providers/`, one implementation for each way
 * to reach an upstream.
 */
export interface Upstream {
  /**
   * Asks a chat model and pushes its answer into `sink`. Resolves at the end of a complete answer.
   * Rejects with a MeshError: UPSTREAM_* for the upstream's faults, with `details.upstream` where
   * it said something.
   */
  chat(target: Target, ask: ChatAsk, sink: UpstreamSink, attempt: Attempt): Promise<UpstreamEnd>;
  /** Asks an embedding model. Resolves and rejects alike. */
  embed(target: Target, ask: EmbedAsk, attempt: Attempt): Promise<UpstreamVectors>;
  /** Asks how many tokens a prompt has; undefined when this upstream cannot say. */
  countTokens(target: Target, ask: ChatAsk, attempt: Attempt): Promise<number | undefined>;
}

/** One attempt, as an upstream sees it. */
export interface Attempt {
  readonly requestId: string;
  /**
   * Ends the attempt: the connection is closed or the stream reset within a turn of the event loop.
   */
  readonly cancellation: Cancellation;
  /** What could not be carried to the target's dialect is written here. */
  readonly warnings: string[];
  /**
   * What the upstream has produced when an attempt ends early, as far as it can be told: written by
   * the upstream before it rejects, `estimated` unless the vendor counted. Undefined means that
   * nothing was billed. Written too when a whole answer ends well and the upstream has counted
   * nothing.
   */
  partial: Usage | undefined;
  /** True once the upstream may have seen a byte of the request: from then on it may bill. */
  sent: boolean;
  /**
   * The most output tokens of one answer: written into the upstream's request in place of a higher
   * limit, of none, or of one that is not positive. Undefined leaves the request as it is.
   */
  readonly outputTokensMax?: number | undefined;
  /** Told once the upstream has answered with headers. */
  opened(status: number, headers: UpstreamHeaders): void;
}

/** Header fields by lower-case name. */
export type UpstreamHeaders = Readonly<Record<string, string | string[] | undefined>>;

/** Where an upstream pushes what it says. */
export interface UpstreamSink {
  /**
   * Takes a chunk at once. False means that the sink is behind: stop reading and await `ready()`.
   */
  chunk(chunk: ChatChunk, last?: boolean): boolean;
  ready(): Promise<void>;
}

/** What is known once an upstream has said everything. */
export interface UpstreamEnd {
  readonly finish: Finish;
  /** Undefined when the upstream counted nothing. */
  readonly usage: Usage | undefined;
  readonly upstreamId: string;
  readonly modelVersion: string;
}

/** An upstream's vectors. */
export interface UpstreamVectors {
  readonly usage: Usage | undefined;
  readonly wire: WireForm | undefined;
  response(): EmbedResponse;
}
