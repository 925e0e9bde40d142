import type { Decision } from "../../gen/weir/v1/chat_pb.ts";
import type { ChatChunk } from "./chunk.ts";

/**
 * Where an answer goes. There is no `end` and no `error`: the handler's promise is the end, so that
 * `try/finally` is true for streams too.
 */
export interface ChatSink {
  /**
   * The answer is committed to one target: called once, before the first chunk. Nothing else is
   * tried after it.
   */
  start(decision: Decision): void;
  /**
   * Takes a chunk at once. False means that the sink is behind: await `ready()` before the next.
   * `last` says that nothing follows but the end, which the handler's promise will tell: a sink may
   * keep the chunk until then and send both in one write.
   */
  chunk(chunk: ChatChunk, last?: boolean): boolean;
  /** Resolves when the sink can take more. Rejects when its call is cancelled. */
  ready(): Promise<void>;
}
