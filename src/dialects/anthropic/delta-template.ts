import { isJsonObject, type JsonObject } from "../../mesh/json.ts";
import { TextTemplate } from "../text-template.ts";

/** The field of a delta that is a piece of a block. */
export type PieceField = "text" | "thinking" | "partial_json";

/** Knows the frames that tell of one more piece of a block: a text, a thought, a tool's input. */
export class DeltaTemplate extends TextTemplate {
  /** Which field the piece is of, and which block: as in the frame that was learnt. */
  field: PieceField = "text";
  index = 0;

  /** Learns from a frame, its blank line included, and the event that was parsed of it. */
  learnEvent(frame: string, event: JsonObject): void {
    const found = findPiece(event);
    if (found === undefined) return;
    const { field, text } = found;
    if (!this.learn({ frame, text, place: places[field], find: finders[field] })) return;
    this.field = field;
    this.index = typeof event.index === "number" ? event.index : -1;
  }
}

const places: Readonly<Record<PieceField, RegExp>> = {
  text: /"text"\s*:\s*"/,
  thinking: /"thinking"\s*:\s*"/,
  partial_json: /"partial_json"\s*:\s*"/,
};

const fields: ReadonlyMap<unknown, PieceField> = new Map([
  ["text_delta", "text"],
  ["thinking_delta", "thinking"],
  ["input_json_delta", "partial_json"],
]);

type Find = (data: unknown) => string | undefined;

const finders: Readonly<Record<PieceField, Find>> = {
  text: (data) => findPieceOf("text", data),
  thinking: (data) => findPieceOf("thinking", data),
  partial_json: (data) => findPieceOf("partial_json", data),
};

function findPieceOf(field: PieceField, data: unknown): string | undefined {
  const found = isJsonObject(data) ? findPiece(data) : undefined;
  return found?.field === field ? found.text : undefined;
}

/** The piece that an event tells of; undefined when it is another event, or an empty piece. */
function findPiece(event: JsonObject): { field: PieceField; text: string } | undefined {
  const { type, delta } = event;
  if (type !== "content_block_delta" || !isJsonObject(delta)) return undefined;
  const field = fields.get(delta.type);
  const text = field === undefined ? undefined : delta[field];
  if (field === undefined || typeof text !== "string" || text === "") return undefined;
  return { field, text };
}
