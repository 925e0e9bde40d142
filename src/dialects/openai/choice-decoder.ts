import { create, toJsonString } from "@bufbuild/protobuf";
import { ContentPartSchema } from "../../../gen/weir/v1/chat_pb.ts";
import type { AudioDelta } from "../../../gen/weir/v1/chat_service_pb.ts";
import type { ChatEvent } from "../../mesh/chunk.ts";
import { OWN_PART_DIALECT } from "../../mesh/explode.ts";
import { isJsonObject, type JsonObject } from "../../mesh/json.ts";
import { createTimestamp } from "../../mesh/record.ts";
import { readCitations } from "./citation.ts";
import { type Field, isJsonArray } from "./field.ts";
import { readFinish } from "./finish.ts";
import { readLogprobs } from "./logprobs.ts";
import { readImages } from "./read-answer.ts";
import { readReasoningDetails, readReasoningText } from "./reasoning.ts";
import { ToolCallDecoder } from "./tool-call-decoder.ts";

/** Turns the deltas of one choice into events. */
export class ChoiceDecoder {
  readonly #index: number;
  readonly #tools: ToolCallDecoder;
  #finished = false;

  constructor(index: number) {
    this.#index = index;
    this.#tools = new ToolCallDecoder(index);
  }

  /**
   * Appends events. Returns the length of their texts; below zero when there was nothing to see.
   */
  decode(choice: JsonObject, events: ChatEvent[]): number {
    const { delta, logprobs, finish_reason: word } = choice;
    const before = events.length;
    const characters = isJsonObject(delta) ? this.#decodeDelta(delta, events) : 0;
    const content = events.length > before;
    if (isJsonObject(logprobs)) this.#decodeLogprobs(logprobs, events);
    // OpenRouter says it again in its chunk with the usage.
    if (typeof word === "string" && word !== "" && !this.#finished) {
      this.#finished = true;
      this.#tools.finish(events);
      events.push({
        case: "choiceFinished",
        value: {
          $typeName: "weir.v1.ChoiceFinished",
          choiceIndex: this.#index,
          finish: readFinish(word, choice.native_finish_reason, this.#tools.count > 0),
        },
      });
    }
    return content ? characters : -1;
  }

  #decodeDelta(delta: JsonObject, events: ChatEvent[]): number {
    const { content } = delta;
    let characters = this.#decodeReasoning(delta, events);
    if (typeof content === "string") characters += this.pushText(content, events);
    else if (isJsonArray(content)) characters += this.#decodeContentList(content, events);
    if (delta.refusal != null) characters += this.#decodeRefusal(delta.refusal, events);
    if (isJsonArray(delta.tool_calls)) {
      for (const call of delta.tool_calls) {
        if (isJsonObject(call)) characters += this.#tools.decode(call, events);
      }
    }
    if (isJsonObject(delta.function_call)) {
      const call = { index: 0, id: `call_${this.#index}`, function: delta.function_call };
      characters += this.#tools.decode(call, events);
    }
    if (isJsonObject(delta.audio)) this.#decodeAudio(delta.audio, events);
    if (delta.annotations != null) this.#decodeCitations(delta.annotations, events);
    if (delta.images != null) this.#decodeImages(delta.images, events);
    return characters;
  }

  pushText(text: string, events: ChatEvent[]): number {
    if (text === "") return 0;
    events.push({
      case: "textDelta",
      value: { $typeName: "weir.v1.TextDelta", choiceIndex: this.#index, text },
    });
    return text.length;
  }

  pushReasoning(
    { text, signature, redacted }: { text: string; signature: string; redacted: string },
    reasoningIndex: number,
    events: ChatEvent[],
  ): number {
    events.push({
      case: "reasoningDelta",
      value: {
        $typeName: "weir.v1.ReasoningDelta",
        choiceIndex: this.#index,
        text,
        signature,
        redacted,
        reasoningIndex,
      },
    });
    return text.length;
  }

  /**
   * OpenRouter tells a thought twice: plainly, and with its proof. The second is taken when it is
   * there.
   */
  #decodeReasoning(delta: JsonObject, events: ChatEvent[]): number {
    const details = delta.reasoning_details;
    const text = readReasoningText(delta);
    if (details === undefined) {
      if (text === "") return 0;
      return this.pushReasoning({ text, signature: "", redacted: "" }, 0, events);
    }
    let characters = 0;
    let told = false;
    for (const { index, part } of readReasoningDetails(details)) {
      characters += this.pushReasoning(part, index, events);
      told ||= part.text !== "";
    }
    if (told || text === "") return characters;
    return characters + this.pushReasoning({ text, signature: "", redacted: "" }, 0, events);
  }

  /** Mistral's content: a list of texts and thoughts. */
  #decodeContentList(list: readonly Field[], events: ChatEvent[]): number {
    let characters = 0;
    for (const item of list) {
      if (!isJsonObject(item)) continue;
      if (item.type === "text") characters += this.pushText(readWord(item.text), events);
      if (item.type !== "thinking" || !isJsonArray(item.thinking)) continue;
      for (const thought of item.thinking) {
        const text = isJsonObject(thought) ? readWord(thought.text) : "";
        if (text === "") continue;
        characters += this.pushReasoning({ text, signature: "", redacted: "" }, 0, events);
      }
    }
    return characters;
  }

  #decodeRefusal(refusal: Field, events: ChatEvent[]): number {
    const text = readWord(refusal);
    if (text === "") return 0;
    events.push({
      case: "refusalDelta",
      value: { $typeName: "weir.v1.RefusalDelta", choiceIndex: this.#index, text },
    });
    return text.length;
  }

  #decodeAudio(audio: JsonObject, events: ChatEvent[]): void {
    const expires = audio.expires_at;
    const value: AudioDelta = {
      $typeName: "weir.v1.AudioDelta",
      choiceIndex: this.#index,
      id: readWord(audio.id),
      data: Buffer.from(readWord(audio.data), "base64"),
      transcript: readWord(audio.transcript),
    };
    if (typeof expires === "number") value.expireTime = createTimestamp(expires * 1000);
    events.push({ case: "audioDelta", value });
  }

  #decodeCitations(annotations: Field, events: ChatEvent[]): void {
    for (const citation of readCitations(annotations)) {
      events.push({
        case: "citationAdded",
        value: { $typeName: "weir.v1.CitationAdded", choiceIndex: this.#index, citation },
      });
    }
  }

  #decodeImages(images: Field, events: ChatEvent[]): void {
    for (const image of readImages(images)) {
      const part = create(ContentPartSchema, { part: { case: "image", value: image } });
      const json = toJsonString(ContentPartSchema, part);
      events.push({
        case: "vendorPartAdded",
        value: {
          $typeName: "weir.v1.VendorPartAdded",
          choiceIndex: this.#index,
          part: { $typeName: "weir.v1.VendorPart", dialect: OWN_PART_DIALECT, json },
        },
      });
    }
  }

  #decodeLogprobs(wire: JsonObject, events: ChatEvent[]): void {
    const logprobs = readLogprobs(wire.content);
    const refusalLogprobs = readLogprobs(wire.refusal);
    if (logprobs.length === 0 && refusalLogprobs.length === 0) return;
    events.push({
      case: "logprobsDelta",
      value: {
        $typeName: "weir.v1.LogprobsDelta",
        choiceIndex: this.#index,
        logprobs,
        refusalLogprobs,
      },
    });
  }
}

function readWord(value: Field): string {
  return typeof value === "string" ? value : "";
}
