import type { Finish } from "../../../gen/weir/v1/chat_pb.ts";
import type { Usage } from "../../../gen/weir/v1/usage_pb.ts";
import { MeshError } from "../../mesh/errors.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "../../mesh/json.ts";
import type { UpstreamEnd } from "../../mesh/upstream.ts";
import { noteInputCounted } from "../../mesh/usage.ts";
import { readErrorEvent } from "./errors.ts";
import { mapFinish } from "./finish.ts";
import { isCount, mapUsage, mergeCounts, readUsage } from "./usage.ts";

/** Characters that make a token, about: Claude's tokenizer and English text. */
export const CHARACTERS_PER_TOKEN = 4;

/** What is known of a streamed message as a whole: who said it, what it cost, why it ended. */
export class StreamState {
  /** True once `message_stop` has been seen. */
  ended = false;
  /** Characters of content that were seen, about; for the estimate of a stream that breaks. */
  characters = 0;
  readonly #askBytes: number;
  #id = "";
  #model = "";
  #counts: JsonObject | undefined;
  #counted = false;
  #finish: Finish | undefined;

  /** `askBytes` is how long the request was, for the estimate of a prompt that nobody counts. */
  constructor(askBytes: number) {
    this.#askBytes = askBytes;
  }

  /**
   * Takes an event about the whole message; others are passed over. Throws UPSTREAM_* for an error.
   */
  note(event: JsonObject): void {
    switch (event.type) {
      case "message_start":
        this.#noteStart(event.message);
        return;
      case "message_delta":
        this.#noteDelta(event);
        return;
      case "message_stop":
        this.ended = true;
        return;
      case "error":
        throw readErrorEvent(event);
      default:
    }
  }

  /** Throws UPSTREAM_GARBLED when the message has not said why it ended. */
  end(): UpstreamEnd {
    if (this.#finish === undefined) {
      throw new MeshError(
        "UPSTREAM_GARBLED",
        "The upstream's stream broke off before its answer was complete. Try again.",
        { internal: "the stream ended without message_delta and its stop_reason" },
      );
    }
    return {
      finish: this.#finish,
      usage: readUsage(this.#counts),
      upstreamId: this.#id,
      modelVersion: this.#model,
    };
  }

  /**
   * The vendor's count of the input, or else what its length makes it; the output by what was seen,
   * unless the vendor has counted that too.
   */
  partialUsage(): Usage {
    const counts = this.#counts ?? {};
    const usage = mapUsage(counts);
    const inputCounted = isCount(counts.input_tokens);
    const outputCounted = this.#counted && isCount(counts.output_tokens);
    if (inputCounted && outputCounted) return usage;
    usage.estimated = true;
    if (inputCounted) noteInputCounted(usage);
    else usage.inputTokens = Math.ceil(this.#askBytes / CHARACTERS_PER_TOKEN);
    if (outputCounted) return usage;
    const seen = Math.ceil(this.characters / CHARACTERS_PER_TOKEN);
    usage.outputTokens = Math.max(usage.outputTokens, seen);
    return usage;
  }

  #noteStart(message: JsonValue | undefined): void {
    if (!isJsonObject(message)) return;
    this.#id = textOf(message.id);
    this.#model = textOf(message.model);
    if (isJsonObject(message.usage)) this.#counts = mergeCounts({}, message.usage);
  }

  #noteDelta(event: JsonObject): void {
    if (isJsonObject(event.usage)) {
      this.#counts = mergeCounts(this.#counts ?? {}, event.usage);
      this.#counted = true;
    }
    if (!isJsonObject(event.delta)) return;
    const { stop_reason: reason, stop_sequence: sequence } = event.delta;
    if (typeof reason === "string") this.#finish = mapFinish(reason, textOf(sequence));
  }
}

/** The data of an SSE event as an object. Throws UPSTREAM_GARBLED. */
export function parseEvent(data: string): JsonObject {
  let event: unknown;
  try {
    event = JSON.parse(data);
  } catch (cause) {
    throw garbled(cause);
  }
  if (isJsonObject(event)) return event;
  throw garbled(undefined);
}

function garbled(cause: unknown): MeshError {
  return new MeshError("UPSTREAM_GARBLED", "The upstream's stream made no sense. Try again.", {
    internal: "the data of an SSE event is no JSON object",
    cause,
  });
}

function textOf(value: JsonValue | undefined): string {
  return typeof value === "string" ? value : "";
}
