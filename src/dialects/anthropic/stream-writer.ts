import type { Decision } from "../../../gen/weir/v1/chat_pb.ts";
import type { ChatAsk } from "../../mesh/ask.ts";
import type { ChatEvent } from "../../mesh/chunk.ts";
import type { MeshError } from "../../mesh/errors.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "../../mesh/json.ts";
import type { Outcome } from "../../mesh/outcome.ts";
import type { StreamWriter } from "../dialect.ts";
import { readFrames } from "../sse.ts";
import { writeError } from "./errors.ts";
import { mapStopReason } from "./finish.ts";
import { parseEvent } from "./stream-state.ts";
import { writeUsage } from "./usage.ts";
import { belongsTo, isWholeObject, WaitingEvents } from "./waiting-events.ts";
import { writeForeignCitation, writeHead } from "./write-answer.ts";
import { decodeCallExtras, parseVendorJson, writeCitations } from "./write-content.ts";

const MESSAGE_STOP = 'event: message_stop\ndata: {"type":"message_stop"}\n\n';

/** Writes a stream of chat events as the events of Anthropic's message. */
export function createStreamWriter(_ask: ChatAsk): StreamWriter {
  return new MessageWriter();
}

/**
 * Anthropic's blocks come one after the other, while other vendors may go back and forth between
 * tool calls: what comes while a tool call is unfinished waits until it is done. Of several answers
 * only the first is written.
 */
class MessageWriter implements StreamWriter {
  #open: OpenBlock | undefined;
  #nextIndex = 0;
  #calledTools = false;
  readonly #waiting = new WaitingEvents();

  /** The usage of the prompt is not known yet; `message_delta` tells it in the end. */
  start(decision: Decision): string {
    const message = {
      ...writeHead(decision, ""),
      content: [],
      stop_reason: null,
      stop_sequence: null,
      usage: { input_tokens: 0, output_tokens: 0 },
    };
    return frame("message_start", { type: "message_start", message });
  }

  events(events: readonly ChatEvent[]): string {
    let text = "";
    for (const event of events) text += this.#take(event);
    return text;
  }

  end(outcome: Outcome, passedThrough: boolean): string {
    if (passedThrough) return MESSAGE_STOP;
    let text = this.#flush();
    const { finish } = outcome;
    text += frame("message_delta", {
      type: "message_delta",
      delta: {
        stop_reason: mapStopReason(finish, this.#calledTools),
        stop_sequence: finish.stopSequence || null,
      },
      usage: writeUsage(outcome.usage),
    });
    return text + MESSAGE_STOP;
  }

  cut(outcome: Outcome, frames: Buffer): string {
    const index = findOpenBlock(frames);
    // Whatever kind it is: it is only closed.
    if (index !== undefined) this.#open = new OpenBlock("text", 0, index);
    return this.end(outcome, false);
  }

  error(error: MeshError, requestId: string): string {
    return frame("error", writeError(error, requestId));
  }

  #take(event: ChatEvent): string {
    const open = this.#open;
    if (event.case === "textDelta") {
      if (open?.kind === "text" && event.value.choiceIndex === 0)
        return open.delta(event.value.text);
    }
    if (event.case === "started" || event.case === "finished") return "";
    if (event.value.choiceIndex !== 0) return "";
    if (open?.kind === "tool" && !belongsTo(event, open.key)) {
      if (!this.#waiting.isEmpty || !isWholeObject(open.json)) {
        this.#waiting.add(event);
        return "";
      }
    }
    return this.#write(event);
  }

  #write(event: ChatEvent): string {
    switch (event.case) {
      case "textDelta":
        return this.#text(event.value.text);
      case "refusalDelta":
        return this.#text(event.value.text);
      case "audioDelta":
        return this.#text(event.value.transcript);
      case "reasoningDelta":
        return this.#reasoning(event.value);
      case "toolCallStarted":
        return this.#startTool(event.value);
      case "toolCallArgumentsDelta": {
        const { arguments: json, toolCallIndex } = event.value;
        const open = this.#isOpenTool(toolCallIndex) ? this.#open : undefined;
        if (json === "" || open === undefined) return "";
        open.json += json;
        return open.delta(json);
      }
      case "toolCallDone":
        return this.#isOpenTool(event.value.toolCallIndex) ? this.#close() + this.#resume() : "";
      case "citationAdded":
        return this.#citation(event.value.citation);
      case "vendorPartAdded":
        return this.#vendorPart(event.value.part);
      default:
        return "";
    }
  }

  #isOpenTool(toolCallIndex: number): boolean {
    return this.#open?.kind === "tool" && this.#open.key === toolCallIndex;
  }

  #text(text: string): string {
    if (text === "") return "";
    const opening = this.#openBlock("text", 0, { type: "text", text: "" });
    return opening + (this.#open?.delta(text) ?? "");
  }

  #reasoning(value: Reasoning): string {
    if (value.redacted !== "") {
      const block = { type: "redacted_thinking", data: value.redacted };
      return this.#wholeBlock(block);
    }
    const block = { type: "thinking", thinking: "", signature: "" };
    let text = this.#openBlock("thinking", value.reasoningIndex, block);
    const open = this.#open;
    if (open === undefined) return text;
    if (value.text !== "") text += open.delta(value.text);
    if (value.signature !== "") {
      text += blockDelta(open.index, { type: "signature_delta", signature: value.signature });
    }
    return text;
  }

  #startTool(value: ToolStart): string {
    const { id, name, signature, toolCallIndex } = value;
    this.#calledTools = true;
    const extras = decodeCallExtras(signature);
    const block = { type: "tool_use", id, name, input: {}, ...extras };
    return this.#openBlock("tool", toolCallIndex, block);
  }

  #citation(citation: CitationValue | undefined): string {
    if (citation === undefined) return "";
    const opening = this.#openBlock("text", 0, { type: "text", text: "" });
    const written = writeCitations([citation])[0] ?? writeForeignCitation(citation);
    const index = this.#open?.index ?? 0;
    return opening + blockDelta(index, { type: "citations_delta", citation: written });
  }

  #vendorPart(part: { dialect: string; json: string } | undefined): string {
    const block = part === undefined ? undefined : parseVendorJson(part);
    if (block === undefined) return "";
    if (!isJsonObject(block.input)) return this.#wholeBlock(block);
    const opening = this.#close() + this.#startBlock({ ...block, input: {} });
    const partial = JSON.stringify(block.input);
    const index = this.#nextIndex - 1;
    const delta = blockDelta(index, { type: "input_json_delta", partial_json: partial });
    return opening + delta + stopBlock(index);
  }

  #wholeBlock(block: JsonObject): string {
    return this.#close() + this.#startBlock(block) + stopBlock(this.#nextIndex - 1);
  }

  /** Opens a block unless it is open already; one block at a time. */
  #openBlock(kind: OpenBlock["kind"], key: number, block: JsonObject): string {
    if (this.#open?.kind === kind && this.#open.key === key) return "";
    const text = this.#close() + this.#startBlock(block);
    this.#open = new OpenBlock(kind, key, this.#nextIndex - 1);
    return text;
  }

  #startBlock(block: JsonObject): string {
    const index = this.#nextIndex++;
    return frame("content_block_start", {
      type: "content_block_start",
      index,
      content_block: block,
    });
  }

  #close(): string {
    const open = this.#open;
    if (open === undefined) return "";
    this.#open = undefined;
    return stopBlock(open.index);
  }

  /** Sends what waited for a tool call. It may have to wait again, for the next. */
  #resume(): string {
    return this.#waiting.isEmpty ? "" : this.events(this.#waiting.takeAll());
  }

  /** Closes all that is open, and sends all that waits. */
  #flush(): string {
    let text = this.#close();
    while (!this.#waiting.isEmpty) text += this.#resume() + this.#close();
    return text;
  }
}

/** The block that is open after some frames, as far as they tell. */
function findOpenBlock(frames: Buffer): number | undefined {
  let open: number | undefined;
  readFrames(frames, (_name, data) => {
    const { type, index } = parseEvent(data);
    if (typeof index === "number") open = type === "content_block_stop" ? undefined : index;
  });
  return open;
}

type ValueOf<Case extends ChatEvent["case"]> = Extract<ChatEvent, { case: Case }>["value"];
type Reasoning = ValueOf<"reasoningDelta">;
type ToolStart = ValueOf<"toolCallStarted">;
type CitationValue = NonNullable<ValueOf<"citationAdded">["citation"]>;

/** A block that has begun. What its deltas have in common is written once. */
class OpenBlock {
  readonly kind: "text" | "thinking" | "tool";
  /** Tells blocks of one kind apart. */
  readonly key: number;
  readonly index: number;
  /** Of a tool call the arguments so far, to see when they are whole. */
  json = "";
  readonly #prefix: string;

  constructor(kind: OpenBlock["kind"], key: number, index: number) {
    this.kind = kind;
    this.key = key;
    this.index = index;
    this.#prefix =
      'event: content_block_delta\ndata: {"type":"content_block_delta",' +
      `"index":${index},"delta":{${deltaForms[kind]}`;
  }

  delta(text: string): string {
    return `${this.#prefix}${JSON.stringify(text)}}}\n\n`;
  }
}

const deltaForms = {
  text: '"type":"text_delta","text":',
  thinking: '"type":"thinking_delta","thinking":',
  tool: '"type":"input_json_delta","partial_json":',
} as const;

function blockDelta(index: number, delta: JsonObject): string {
  return frame("content_block_delta", { type: "content_block_delta", index, delta });
}

function stopBlock(index: number): string {
  return `event: content_block_stop\ndata: {"type":"content_block_stop","index":${index}}\n\n`;
}

function frame(event: string, data: Record<string, JsonValue> | JsonObject): string {
  return `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
}
