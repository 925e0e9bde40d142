import type { Finish } from "../../../gen/weir/v1/chat_pb.ts";
import type { Usage } from "../../../gen/weir/v1/usage_pb.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "../../mesh/json.ts";
import type { UpstreamEnd } from "../../mesh/upstream.ts";
import { createGarbled, readErrorInside } from "./errors.ts";
import { isJsonArray } from "./field.ts";
import { createUnknownFinish, readFinish } from "./finish.ts";
import { readUsage } from "./usage.ts";

/** What is learnt of a stream in passing: its identity, its end and what it used. */
export class StreamFacts {
  upstreamId = "";
  modelVersion = "";
  finish: Finish | undefined;
  usage: Usage | undefined;
  /** Chunks that were understood. */
  chunks = 0;
  /** True once `[DONE]` has come. */
  done = false;
  #calledTools = false;

  /** Parses the data of an event. Throws UPSTREAM_GARBLED, or the error that the event tells of. */
  parse(data: string): JsonObject {
    let chunk: JsonValue;
    try {
      chunk = JSON.parse(data);
    } catch (cause) {
      throw createGarbled(`a stream event is not JSON: ${data.slice(0, 200)}`, cause);
    }
    if (!isJsonObject(chunk)) throw createGarbled("a stream event is no object");
    if (chunk.error != null || chunk.object === "error" || chunk.type === "error") {
      throw readErrorInside(chunk);
    }
    this.#note(chunk);
    return chunk;
  }

  /** Throws UPSTREAM_GARBLED when the stream ended before its answer did. */
  end(): UpstreamEnd {
    if (this.finish === undefined && !(this.done && this.chunks > 0)) {
      throw createGarbled("the stream ended without finish_reason and without [DONE]");
    }
    return {
      finish: this.finish ?? createUnknownFinish(),
      usage: this.usage,
      upstreamId: this.upstreamId,
      modelVersion: this.modelVersion,
    };
  }

  #note(chunk: JsonObject): void {
    this.chunks += 1;
    if (this.upstreamId === "" && typeof chunk.id === "string") this.upstreamId = chunk.id;
    if (this.modelVersion === "" && typeof chunk.model === "string") {
      this.modelVersion = chunk.model;
    }
    // Groq once told its usage only in a field of its own.
    const groq = chunk.x_groq;
    const usage = readUsage(chunk.usage) ?? readUsage(isJsonObject(groq) ? groq.usage : undefined);
    if (usage !== undefined) this.usage = usage;
    if (!isJsonArray(chunk.choices)) return;
    for (const choice of chunk.choices) if (isJsonObject(choice)) this.#noteChoice(choice);
  }

  #noteChoice(choice: JsonObject): void {
    const { delta, finish_reason: word, index } = choice;
    if (isJsonObject(delta) && (delta.tool_calls != null || delta.function_call != null)) {
      this.#calledTools = true;
    }
    if (typeof word !== "string" || word === "") return;
    if (this.finish !== undefined && index !== 0) return;
    this.finish = readFinish(word, choice.native_finish_reason, this.#calledTools);
  }
}
