import { isJsonObject, type JsonObject } from "../../mesh/json.ts";
import { TextTemplate } from "../text-template.ts";
import { type Field, isJsonArray } from "./field.ts";

/** The fields of a delta that may be all its news. */
type TextField = "content" | "reasoning_content" | "reasoning";

/** Knows the frames whose only news is a text of the answer, or of a thought. */
export class DeltaTemplate extends TextTemplate {
  /** Which field the text is of, and which choice: as in the frame that was learnt. */
  field: TextField = "content";
  choiceIndex = 0;

  /** Learns from a frame, its blank line included, and the chunk that was parsed of it. */
  learnChunk(frame: string, chunk: JsonObject): void {
    const choice = findOnlyChoice(chunk);
    const found = findOnlyText(choice?.delta);
    if (choice === undefined || found === undefined) return;
    const { field, text } = found;
    const find = finders[field];
    if (!this.learn({ frame, text, place: textPlaces[field], padding: PADDING, find })) return;
    this.field = field;
    this.choiceIndex = typeof choice.index === "number" ? choice.index : 0;
  }
}

const textPlaces: Readonly<Record<TextField, RegExp>> = {
  content: /"content"\s*:\s*"/,
  reasoning_content: /"reasoning_content"\s*:\s*"/,
  reasoning: /"reasoning"\s*:\s*"/,
};

/**
 * What OpenAI and Mistral put last into each chunk, so that lengths betray nothing; no reader looks
 * at it. As nothing but the end of the chunk follows, it is a field of the chunk itself.
 */
const PADDING = /("(?:obfuscation|p)"\s*:\s*")[^"\\]*("\s*\}\s*)$/;

type Find = (data: unknown) => string | undefined;

const finders: Readonly<Record<TextField, Find>> = {
  content: (data) => findTextOf("content", data),
  reasoning_content: (data) => findTextOf("reasoning_content", data),
  reasoning: (data) => findTextOf("reasoning", data),
};

function findTextOf(field: TextField, data: unknown): string | undefined {
  const choice = isJsonObject(data) ? findOnlyChoice(data) : undefined;
  const found = findOnlyText(choice?.delta);
  return found?.field === field ? found.text : undefined;
}

/** The choice of a chunk that tells of nothing else: no end, no usage, no probabilities. */
function findOnlyChoice(chunk: JsonObject): JsonObject | undefined {
  const { choices, usage, x_groq: groq } = chunk;
  if (usage != null || groq != null || !isJsonArray(choices) || choices.length !== 1) return;
  const [choice] = choices;
  if (!isJsonObject(choice) || choice.logprobs != null) return;
  const { finish_reason: finish } = choice;
  return typeof finish === "string" && finish !== "" ? undefined : choice;
}

/** The one field of a delta that says something, when that is a text. */
function findOnlyText(delta: Field): { field: TextField; text: string } | undefined {
  if (!isJsonObject(delta)) return undefined;
  let found: { field: TextField; text: string } | undefined;
  for (const name in delta) {
    const value = delta[name];
    if (name === "role" || saysNothing(value)) continue;
    if (found !== undefined || typeof value !== "string") return undefined;
    if (name !== "content" && name !== "reasoning_content" && name !== "reasoning") return;
    found = { field: name, text: value };
  }
  return found;
}

function saysNothing(value: Field): boolean {
  return value == null || value === "" || (isJsonArray(value) && value.length === 0);
}
