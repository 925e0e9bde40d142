import type { Citation } from "../../../gen/weir/v1/chat_pb.ts";
import type { ChatEvent } from "../../mesh/chunk.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "../../mesh/json.ts";
import type { FrameDecoder, FrameMeter } from "../passed-chunk.ts";
import { readFrames } from "../sse.ts";
import type { PieceField } from "./delta-template.ts";
import { mapFinish } from "./finish.ts";
import { createProducedMeter } from "./produced.ts";
import { encodeCallExtras, mapCitation } from "./read-content.ts";
import { parseEvent } from "./stream-state.ts";

/**
 * Turns the events of a streamed message into chat events, each event parsed once. Citations are
 * told when their block ends, behind the text that they support; blocks that only Anthropic has
 * when they are complete.
 */
export class StreamDecoder implements FrameDecoder {
  /**
   * True once something was seen that a caller would see, or that the vendor has begun to run a
   * tool.
   */
  content = false;
  #toolCalls = 0;
  #thoughts = 0;
  #meter: FrameMeter | undefined;
  /**
   * Blocks that are open, by index: never more than one at a sound upstream, and dropped when they
   * end.
   */
  readonly #open = new Map<number, OpenBlock>();

  /** The events of frames that are passed on. Throws UPSTREAM_GARBLED. */
  decodeFrames(frames: Buffer): readonly ChatEvent[] {
    const out: ChatEvent[] = [];
    readFrames(frames, (_name, data) => {
      this.decode(parseEvent(data), out);
    });
    return out;
  }

  /** Costs nothing until somebody asks. */
  measureFrames(frames: Buffer): number {
    this.#meter ??= createProducedMeter();
    return this.#meter.measureFrames(frames);
  }

  /**
   * Decodes one event into `out`, unless it is about the whole message. Returns the characters of
   * content in it.
   */
  decode(event: JsonObject, out: ChatEvent[]): number {
    switch (event.type) {
      case "content_block_delta":
        return this.#delta(event, out);
      case "content_block_start":
        return this.#start(event, out);
      case "content_block_stop":
        this.#stop(numberOf(event.index), out);
        return 0;
      case "message_delta":
        finishChoice(event.delta, out);
        return 0;
      default:
        return 0;
    }
  }

  /** What `decode` does for an event that tells of this piece. */
  addPiece(piece: Piece, out: ChatEvent[]): number {
    const { field, text } = piece;
    if (field === "text") return this.#text(text, out);
    if (field === "thinking") return this.#thought({ text }, out);
    return this.#input(piece.index, text, out);
  }

  #delta(event: JsonObject, out: ChatEvent[]): number {
    const { delta } = event;
    if (!isJsonObject(delta)) return 0;
    switch (delta.type) {
      case "text_delta":
        return this.#text(textOf(delta.text), out);
      case "thinking_delta":
        return this.#thought({ text: textOf(delta.thinking) }, out);
      case "signature_delta":
        return this.#thought({ signature: textOf(delta.signature) }, out);
      case "input_json_delta":
        return this.#input(numberOf(event.index), textOf(delta.partial_json), out);
      case "citations_delta": {
        const block = this.#open.get(numberOf(event.index));
        if (block !== undefined && isJsonObject(delta.citation)) {
          block.citations.push(mapCitation(delta.citation));
        }
        return 0;
      }
      default:
        return 0;
    }
  }

  #start(event: JsonObject, out: ChatEvent[]): number {
    const block = event.content_block;
    if (!isJsonObject(block)) return 0;
    const open: OpenBlock = { block, toolCallIndex: -1, input: "", citations: [], vendor: false };
    this.#open.set(numberOf(event.index), open);
    switch (block.type) {
      case "text":
        return this.#text(textOf(block.text), out);
      case "thinking": {
        const text = textOf(block.thinking);
        const signature = textOf(block.signature);
        this.#thoughts++;
        return text + signature === "" ? 0 : this.#thought({ text, signature }, out);
      }
      case "redacted_thinking":
        this.#thoughts++;
        return this.#thought({ redacted: textOf(block.data) }, out);
      case "tool_use":
        open.toolCallIndex = this.#toolCalls++;
        out.push(startToolCall(block, open.toolCallIndex));
        this.content = true;
        return 0;
      default:
        open.vendor = true;
        this.content = true;
        return 0;
    }
  }

  #stop(index: number, out: ChatEvent[]): void {
    const open = this.#open.get(index);
    if (open === undefined) return;
    this.#open.delete(index);
    for (const citation of open.citations) {
      out.push({
        case: "citationAdded",
        value: { $typeName: "weir.v1.CitationAdded", choiceIndex: 0, citation },
      });
    }
    if (open.vendor) out.push(completeVendorPart(open));
    if (open.toolCallIndex < 0) return;
    const { toolCallIndex } = open;
    // Input that came whole with the block's start, or none at all, which is an empty object.
    if (open.input === "") this.#addInput(open, JSON.stringify(open.block.input ?? {}), out);
    out.push({
      case: "toolCallDone",
      value: { $typeName: "weir.v1.ToolCallDone", choiceIndex: 0, toolCallIndex },
    });
  }

  #text(text: string, out: ChatEvent[]): number {
    if (text === "") return 0;
    this.content = true;
    out.push({
      case: "textDelta",
      value: { $typeName: "weir.v1.TextDelta", choiceIndex: 0, text },
    });
    return text.length;
  }

  #thought(
    piece: { text?: string; signature?: string; redacted?: string },
    out: ChatEvent[],
  ): number {
    const { text = "", signature = "", redacted = "" } = piece;
    this.content = true;
    const reasoningIndex = Math.max(this.#thoughts - 1, 0);
    out.push({
      case: "reasoningDelta",
      value: {
        $typeName: "weir.v1.ReasoningDelta",
        choiceIndex: 0,
        text,
        signature,
        redacted,
        reasoningIndex,
      },
    });
    return text.length;
  }

  #input(index: number, json: string, out: ChatEvent[]): number {
    return this.#addInput(this.#open.get(index), json, out);
  }

  #addInput(open: OpenBlock | undefined, json: string, out: ChatEvent[]): number {
    if (open === undefined || json === "") return 0;
    if (open.vendor) {
      open.input += json;
      return json.length;
    }
    const { toolCallIndex } = open;
    if (toolCallIndex < 0) return 0;
    // Only whether there was any matters here: the arguments themselves are the caller's to gather.
    open.input = "seen";
    out.push({
      case: "toolCallArgumentsDelta",
      value: {
        $typeName: "weir.v1.ToolCallArgumentsDelta",
        choiceIndex: 0,
        toolCallIndex,
        arguments: json,
      },
    });
    return json.length;
  }
}

/** A piece of a block that was found without parsing its event; never empty. */
export interface Piece {
  readonly field: PieceField;
  /** Of the block. */
  readonly index: number;
  readonly text: string;
}

interface OpenBlock {
  readonly block: JsonObject;
  /** -1 unless it is a tool call. */
  toolCallIndex: number;
  /** The input of a tool that the vendor runs, as JSON text. */
  input: string;
  readonly citations: Citation[];
  /** True for a block that only Anthropic has. */
  vendor: boolean;
}

function finishChoice(delta: JsonValue | undefined, out: ChatEvent[]): void {
  if (!isJsonObject(delta) || typeof delta.stop_reason !== "string") return;
  const finish = mapFinish(delta.stop_reason, textOf(delta.stop_sequence));
  out.push({
    case: "choiceFinished",
    value: { $typeName: "weir.v1.ChoiceFinished", choiceIndex: 0, finish },
  });
}

function startToolCall(block: JsonObject, toolCallIndex: number): ChatEvent {
  return {
    case: "toolCallStarted",
    value: {
      $typeName: "weir.v1.ToolCallStarted",
      choiceIndex: 0,
      toolCallIndex,
      id: textOf(block.id),
      name: textOf(block.name),
      custom: false,
      signature: encodeCallExtras(block),
    },
  };
}

function completeVendorPart(open: OpenBlock): ChatEvent {
  const block = open.input === "" ? open.block : { ...open.block, input: parseInput(open.input) };
  return {
    case: "vendorPartAdded",
    value: {
      $typeName: "weir.v1.VendorPartAdded",
      choiceIndex: 0,
      part: {
        $typeName: "weir.v1.VendorPart",
        dialect: "anthropic",
        json: JSON.stringify(block),
      },
    },
  };
}

/** A model may break off within its input; what there is of it is kept as text. */
function parseInput(json: string): JsonValue {
  try {
    return JSON.parse(json);
  } catch {
    return json;
  }
}

function numberOf(value: JsonValue | undefined): number {
  return typeof value === "number" ? value : -1;
}

function textOf(value: JsonValue | undefined): string {
  return typeof value === "string" ? value : "";
}
