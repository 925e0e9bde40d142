import type { ChatEvent } from "../../mesh/chunk.ts";
import { MeshError } from "../../mesh/errors.ts";

/**
 * Most events that may wait for an unfinished tool call; deltas in a row count as one. No model
 * goes back and forth more.
 */
const WAITING_EVENTS_MAX = 10_000;

/** What waits until a tool call is done. Throws UPSTREAM_GARBLED when that is too much. */
export class WaitingEvents {
  #events: ChatEvent[] = [];

  get isEmpty(): boolean {
    return this.#events.length === 0;
  }

  add(event: ChatEvent): void {
    const events = this.#events;
    const merged = mergeDeltas(events.at(-1), event);
    if (merged !== undefined) {
      events[events.length - 1] = merged;
      return;
    }
    if (events.length >= WAITING_EVENTS_MAX) {
      throw new MeshError("UPSTREAM_GARBLED", "The upstream's tool calls never ended. Try again.");
    }
    events.push(event);
  }

  takeAll(): readonly ChatEvent[] {
    const events = this.#events;
    this.#events = [];
    return events;
  }
}

/**
 * True for an event of the tool call that is open, and for those that say nothing of the content.
 */
export function belongsTo(event: ChatEvent, toolCallIndex: number): boolean {
  switch (event.case) {
    case "toolCallArgumentsDelta":
    case "toolCallDone":
      return event.value.toolCallIndex === toolCallIndex;
    case "logprobsDelta":
    case "choiceFinished":
      return true;
    default:
      return false;
  }
}

/** True for the text of a whole JSON object: nothing can follow it, said or unsaid. */
export function isWholeObject(json: string): boolean {
  if (!json.trimEnd().endsWith("}")) return false;
  try {
    JSON.parse(json);
    return true;
  } catch {
    return false;
  }
}

/** Two deltas of the same text or tool call as one; undefined when they are not of the same. */
function mergeDeltas(last: ChatEvent | undefined, event: ChatEvent): ChatEvent | undefined {
  if (last?.case === "textDelta" && event.case === "textDelta") {
    const text = last.value.text + event.value.text;
    return { case: "textDelta", value: { ...event.value, text } };
  }
  if (last?.case !== "toolCallArgumentsDelta" || event.case !== last.case) return undefined;
  if (last.value.toolCallIndex !== event.value.toolCallIndex) return undefined;
  const json = last.value.arguments + event.value.arguments;
  return { case: "toolCallArgumentsDelta", value: { ...event.value, arguments: json } };
}
