import type { CreateChatResponse, StreamChatResponse } from "../../gen/weir/v1/chat_service_pb.ts";
import type { DialectName } from "./ask.ts";

/** One event of a streamed answer, as `weir.v1.StreamChatResponse` has it, without its envelope. */
export type ChatEvent = Exclude<StreamChatResponse["event"], { case: undefined }>;

/** Content as it came over the wire. */
export interface WireForm {
  readonly dialect: DialectName;
  /**
   * For a stream: complete SSE frames as the upstream sent them, without the dialect's terminal
   * frame (`[DONE]`, `message_stop`), which the door writes itself when all went well. For a whole
   * answer: the body.
   */
  readonly bytes: Buffer;
}

/**
 * What one read of the upstream brought. It carries its wire form when that may be passed on as it
 * is, and is decoded only when somebody asks for the events.
 */
export interface ChatChunk {
  readonly wire: WireForm | undefined;
  /**
   * True when a caller would see something of it: text, reasoning, a tool call. An empty role frame
   * is no content.
   */
  readonly content: boolean;
  /** The events in order, decoded once. Never `started`, never `finished`: those are the door's. */
  events(): readonly ChatEvent[];
  /**
   * A bound of the bytes that the model has produced in it, for chunks that are passed on: to be
   * asked of each chunk of a stream in their order, or of none. Undefined where the events tell.
   */
  producedMost?(): number;
  /** The whole answer, when the upstream was not asked to stream; undefined in streams. */
  readonly answer: (() => CreateChatResponse) | undefined;
}

/** A chunk that was made here or translated, so that it has no wire form to pass on. */
export function createEventChunk(events: readonly ChatEvent[], content: boolean): ChatChunk {
  return { wire: undefined, content, events: () => events, answer: undefined };
}
