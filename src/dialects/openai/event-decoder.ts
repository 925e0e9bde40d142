import type { ChatEvent } from "../../mesh/chunk.ts";
import { isJsonObject, type JsonObject } from "../../mesh/json.ts";
import type { FrameDecoder, FrameMeter } from "../passed-chunk.ts";
import { readFrames } from "../sse.ts";
import { ChoiceDecoder } from "./choice-decoder.ts";
import { createGarbled } from "./errors.ts";
import { isJsonArray } from "./field.ts";
import { createProducedMeter } from "./produced.ts";
import { StreamFacts } from "./stream-facts.ts";

/** As AnswerFold has it: more answers than this are a fault. */
const CHOICES_MAX = 1024;

/**
 * Turns the chunks of one stream into events, keeping what must stay the same from one to the next.
 */
export class EventDecoder implements FrameDecoder {
  readonly #choices: ChoiceDecoder[] = [];
  #meter: FrameMeter | undefined;
  /** Length of all texts so far, for an estimate. */
  textCharacters = 0;
  /** Deltas with content so far. */
  deltas = 0;

  /** Appends the chunk's events. Returns whether a caller would see something of them. */
  decode(chunk: JsonObject, events: ChatEvent[]): boolean {
    const { choices } = chunk;
    if (!isJsonArray(choices)) return false;
    let content = false;
    for (const choice of choices) {
      if (!isJsonObject(choice)) continue;
      const decoder = this.#choice(choice.index);
      const characters = decoder.decode(choice, events);
      if (characters < 0) continue;
      this.textCharacters += characters;
      this.deltas += 1;
      content = true;
    }
    return content;
  }

  /** The events of frames that are passed on. Throws as the reader of the stream would. */
  decodeFrames(frames: Buffer): readonly ChatEvent[] {
    const events: ChatEvent[] = [];
    const facts = new StreamFacts();
    readFrames(frames, (_event, data) => {
      if (data !== "" && data !== "[DONE]") this.decode(facts.parse(data), events);
    });
    return events;
  }

  /** Costs nothing until somebody asks. */
  measureFrames(frames: Buffer): number {
    this.#meter ??= createProducedMeter();
    return this.#meter.measureFrames(frames);
  }

  /** What `decode` does for a chunk whose only news is this text. */
  addText(piece: TextPiece, events: ChatEvent[]): void {
    const decoder = this.#choice(piece.choiceIndex);
    const { text } = piece;
    this.textCharacters += piece.reasoning
      ? decoder.pushReasoning({ text, signature: "", redacted: "" }, 0, events)
      : decoder.pushText(text, events);
    this.deltas += 1;
  }

  #choice(given: unknown): ChoiceDecoder {
    const index = typeof given === "number" ? given : 0;
    const known = this.#choices[index];
    if (known !== undefined) return known;
    if (!(Number.isInteger(index) && index >= 0 && index < CHOICES_MAX)) {
      throw createGarbled(`a choice is numbered ${index}`);
    }
    const choice = new ChoiceDecoder(index);
    while (this.#choices.length < index) {
      this.#choices.push(new ChoiceDecoder(this.#choices.length));
    }
    this.#choices[index] = choice;
    return choice;
  }
}

/** A text that was found without parsing its chunk; never empty. */
export interface TextPiece {
  readonly choiceIndex: number;
  /** A thought, and no part of the answer. */
  readonly reasoning: boolean;
  readonly text: string;
}

/**
 * Whether a caller would see something of a chunk, without decoding it. An empty text, a role or a
 * finish is nothing to see.
 */
export function hasContent(chunk: JsonObject): boolean {
  const { choices } = chunk;
  if (!isJsonArray(choices)) return false;
  for (const choice of choices) {
    if (!isJsonObject(choice)) continue;
    const { delta } = choice;
    if (!isJsonObject(delta)) continue;
    for (const name of contentFields) {
      const value = delta[name];
      if (typeof value === "string" ? value !== "" : isJsonArray(value) && value.length > 0) {
        return true;
      }
    }
    if (isJsonObject(delta.audio) || isJsonObject(delta.function_call)) return true;
  }
  return false;
}

const contentFields = [
  ...["content", "reasoning_content", "reasoning", "tool_calls", "refusal"],
  ...["reasoning_details", "images", "annotations"],
];
