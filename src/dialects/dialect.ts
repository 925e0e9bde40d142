import type { Decision } from "../../gen/weir/v1/chat_pb.ts";
import type { CreateChatResponse } from "../../gen/weir/v1/chat_service_pb.ts";
import type { EmbedResponse } from "../../gen/weir/v1/embed_service_pb.ts";
import type { Usage } from "../../gen/weir/v1/usage_pb.ts";
import type { ChatAsk, DialectName, EmbedAsk } from "../mesh/ask.ts";
import type { ChatChunk, ChatEvent } from "../mesh/chunk.ts";
import type { MeshError } from "../mesh/errors.ts";
import type { JsonObject } from "../mesh/json.ts";
import type { Outcome } from "../mesh/outcome.ts";
import type { Target } from "../mesh/target.ts";
import type { UpstreamEnd, UpstreamHeaders } from "../mesh/upstream.ts";

/**
 * A wire dialect of chat, both ways. Doors use the client's side, providers the vendor's side.
 * Everything here is pure: no socket, no clock, no store.
 */
export interface ChatDialect {
  readonly name: DialectName;
  readonly client: ChatClientSide;
  readonly vendor: ChatVendorSide;
}

/** What a door needs: requests in, answers out. */
export interface ChatClientSide {
  /** Body → ask, reading only what the journey needs; throws INVALID_REQUEST naming the field. */
  readAsk(body: JsonObject, bytes: number): ChatAsk;
  /** A whole answer → body. Used when the answer is not passed on in its wire form. */
  writeAnswer(response: CreateChatResponse): JsonObject;
  createStreamWriter(ask: ChatAsk): StreamWriter;
  /** The error object of the dialect, for a response's body. */
  writeError(error: MeshError, requestId: string): JsonObject;
}

/** Turns a stream of chunks into SSE text. Stateful: one for each stream. */
export interface StreamWriter {
  /**
   * Frames to send when the stream begins, or "". Not called when the first chunk has this
   * dialect's wire form. `createdWallMs` is when the answer began, on Clock.wallMs(), for dialects
   * that tell it.
   */
  start(decision: Decision, createdWallMs?: number): string;
  /** Frames for events that carry no wire form of this dialect. */
  events(events: readonly ChatEvent[]): string;
  /**
   * Frames that end a good stream: what `outcome` adds (usage, finish) and the terminal frame.
   * `passedThrough` says that the upstream's own frames were sent, so that only the terminal frame
   * is missing.
   */
  end(outcome: Outcome, passedThrough: boolean): string;
  /**
   * Frames that end a stream of passed-on frames that Weir itself has cut, as `outcome` says why;
   * `frames` are the last that were passed on. Not there for what is never passed on.
   */
  cut?(outcome: Outcome, frames: Buffer): string;
  /** Frames that end a broken stream: an error event, and no terminal frame. */
  error(error: MeshError, requestId: string): string;
}

/** What a provider needs: requests out, answers in. */
export interface ChatVendorSide {
  /**
   * Ask → upstream request. In the same dialect the caller's body goes on as it is, but for the
   * model, the target's overrides, what Weir itself understands (see each dialect), and the wish
   * for usage in streams. `outputTokensMax` wins over the caller and the overrides: it is written
   * in place of a higher limit, of none, or of one that is not positive.
   */
  writeRequest(
    ask: ChatAsk,
    target: Target,
    warnings: string[],
    outputTokensMax?: number,
  ): UpstreamRequest;
  /** A 2xx body → answer. Throws UPSTREAM_GARBLED. */
  readAnswer(body: Buffer, ask: ChatAsk): AnswerReading;
  createStreamReader(ask: ChatAsk): StreamReader;
  /**
   * The request that counts a prompt's tokens, and how to read its answer; undefined where the
   * vendor has none.
   */
  readonly counting: VendorCounting | undefined;
  /** A body that is no 2xx → error; `headers` may say when to come back. */
  readError(status: number, headers: UpstreamHeaders, body: Buffer): MeshError;
}

/** How a vendor counts a prompt's tokens. */
export interface VendorCounting {
  writeRequest(ask: ChatAsk, target: Target, warnings: string[]): UpstreamRequest;
  /** Throws UPSTREAM_GARBLED. */
  readAnswer(body: Buffer): number;
}

/** A request, but for the base URL and the credential. */
export interface UpstreamRequest {
  /** Below the base URL, such as `/chat/completions`. */
  readonly path: string;
  /** Beyond content-type and credential. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** A whole answer. */
export interface AnswerReading {
  readonly chunk: ChatChunk;
  readonly end: UpstreamEnd;
}

/**
 * Reads the SSE frames of one stream. Stateful: one for each stream. A reader of the caller's own
 * dialect passes bytes on and looks only for the first content, the usage, the end and errors; any
 * other decodes each event.
 */
export interface StreamReader {
  /**
   * Takes a run of complete frames (each ends in an empty line), as one read of the socket brought
   * them. Returns what there is to pass on, or undefined. Throws UPSTREAM_* when a frame says so or
   * makes no sense. `frames` is the reader's to keep.
   */
  read(frames: Buffer): ChatChunk | undefined;
  /** True once the dialect's terminal frame has been seen. */
  readonly ended: boolean;
  /**
   * What is known after the last frame. Throws UPSTREAM_GARBLED when the stream ended before its
   * answer did.
   */
  end(): UpstreamEnd;
  /** The usage so far, estimated from what was seen, for a stream that ends early. */
  partialUsage(): Usage;
}

/** A wire dialect of embeddings, both ways. */
export interface EmbedDialect {
  readonly name: DialectName;
  readonly client: {
    readAsk(body: JsonObject, bytes: number): EmbedAsk;
    writeAnswer(response: EmbedResponse, ask: EmbedAsk): JsonObject;
    writeError(error: MeshError, requestId: string): JsonObject;
  };
  readonly vendor: {
    writeRequest(ask: EmbedAsk, target: Target, warnings: string[]): UpstreamRequest;
    readAnswer(body: Buffer, ask: EmbedAsk): VectorsReading;
    readError(status: number, headers: UpstreamHeaders, body: Buffer): MeshError;
  };
}

/** Vectors as a vendor sent them. */
export interface VectorsReading {
  readonly usage: Usage | undefined;
  /** The vendor's body, when the caller's own dialect and encoding are the vendor's. */
  readonly wire: Buffer | undefined;
  /** Decoded once. */
  response(): EmbedResponse;
}
