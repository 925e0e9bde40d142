import type { ChatEvent } from "../../mesh/chunk.ts";
import { isJsonObject, type JsonObject } from "../../mesh/json.ts";
import { createGarbled } from "./errors.ts";
import type { Field } from "./field.ts";
import { readSignature } from "./read-message.ts";
import { parseJson } from "./write-part.ts";

/** Each delta looks for its call among all; more of them are a fault, not a wish. */
const CALLS_MAX = 1024;

/** A call that is being told. */
interface OpenCall {
  readonly index: number;
  readonly wireIndex: number | undefined;
  id: string;
  name: string;
  custom: boolean;
  signature: string;
  /** All arguments so far. */
  arguments: string;
  /** Whether its start has been told; it waits for a name. */
  started: boolean;
}

/**
 * Puts tool calls together whose deltas vendors number and name in their own ways: some give the
 * identifier only once, some with each delta, some anew each time; some give no number, and some
 * the same to every call.
 */
export class ToolCallDecoder {
  readonly #choiceIndex: number;
  readonly #calls: OpenCall[] = [];

  constructor(choiceIndex: number) {
    this.#choiceIndex = choiceIndex;
  }

  get count(): number {
    return this.#calls.length;
  }

  /** Appends events. Returns the length of the arguments. */
  decode(delta: JsonObject, events: ChatEvent[]): number {
    const custom = isJsonObject(delta.custom);
    const body = isJsonObject(delta.custom) ? delta.custom : delta.function;
    const fields = isJsonObject(body) ? body : {};
    const id = readWord(delta.id);
    const name = readWord(fields.name);
    const given = custom ? fields.input : fields.arguments;
    const text = isJsonObject(given) ? JSON.stringify(given) : readWord(given);

    const call = this.#find(delta.index, id, name) ?? this.#open(delta, id, custom);
    if (call.name === "") call.name = name;
    if (call.started) {
      call.arguments += text;
      if (text !== "") this.#pushArguments(call, text, events);
    } else {
      call.arguments += text;
      if (call.name !== "") this.#start(call, events);
    }
    return text.length;
  }

  /** Completes all calls: the answer has ended. */
  finish(events: ChatEvent[]): void {
    for (const call of this.#calls) {
      if (!call.started) this.#start(call, events);
      events.push({
        case: "toolCallDone",
        value: {
          $typeName: "weir.v1.ToolCallDone",
          choiceIndex: this.#choiceIndex,
          toolCallIndex: call.index,
        },
      });
    }
  }

  #find(wireIndex: Field, id: string, name: string): OpenCall | undefined {
    if (typeof wireIndex === "number") {
      const known = this.#calls.findLast((call) => call.wireIndex === wireIndex);
      return known !== undefined && this.#isAnother(known, id, name) ? undefined : known;
    }
    if (id !== "") return this.#calls.find((call) => call.id === id);
    return name === "" ? this.#calls.at(-1) : undefined;
  }

  /** Google's endpoint numbers all calls 0, each whole and with an identifier of its own. */
  #isAnother(known: OpenCall, id: string, name: string): boolean {
    if (id === "" || name === "" || id === known.id || known.id === "") return false;
    return parseJson(known.arguments) !== undefined;
  }

  #open(delta: JsonObject, id: string, custom: boolean): OpenCall {
    const index = this.#calls.length;
    if (index >= CALLS_MAX) throw createGarbled(`an answer has more than ${CALLS_MAX} tool calls`);
    const call: OpenCall = {
      index,
      wireIndex: typeof delta.index === "number" ? delta.index : undefined,
      id: id || `call_${this.#choiceIndex}_${index}`,
      name: "",
      custom,
      signature: readSignature(delta),
      arguments: "",
      started: false,
    };
    this.#calls.push(call);
    return call;
  }

  #start(call: OpenCall, events: ChatEvent[]): void {
    call.started = true;
    const { id, name, custom, signature } = call;
    events.push({
      case: "toolCallStarted",
      value: {
        $typeName: "weir.v1.ToolCallStarted",
        choiceIndex: this.#choiceIndex,
        toolCallIndex: call.index,
        id,
        name,
        custom,
        signature,
      },
    });
    if (call.arguments !== "") this.#pushArguments(call, call.arguments, events);
  }

  #pushArguments(call: OpenCall, text: string, events: ChatEvent[]): void {
    events.push({
      case: "toolCallArgumentsDelta",
      value: {
        $typeName: "weir.v1.ToolCallArgumentsDelta",
        choiceIndex: this.#choiceIndex,
        toolCallIndex: call.index,
        arguments: text,
      },
    });
  }
}

function readWord(value: Field): string {
  return typeof value === "string" ? value : "";
}
