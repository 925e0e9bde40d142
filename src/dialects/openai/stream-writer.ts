import { fromJsonString } from "@bufbuild/protobuf";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import {
  ContentPartSchema,
  type Decision,
  type Finish,
  type VendorPart,
} from "../../../gen/weir/v1/chat_pb.ts";
import type {
  AudioDelta,
  ReasoningDelta,
  ToolCallStarted,
} from "../../../gen/weir/v1/chat_service_pb.ts";
import type { ChatAsk } from "../../mesh/ask.ts";
import type { ChatEvent } from "../../mesh/chunk.ts";
import type { MeshError } from "../../mesh/errors.ts";
import { OWN_PART_DIALECT } from "../../mesh/explode.ts";
import { isJsonObject, type JsonObject } from "../../mesh/json.ts";
import type { Outcome } from "../../mesh/outcome.ts";
import type { StreamWriter } from "../dialect.ts";
import { readFrames } from "../sse.ts";
import { toBase64, writeBlobUrl } from "./blob.ts";
import { writeCitation } from "./citation.ts";
import { writeError } from "./errors.ts";
import type { WireObject } from "./field.ts";
import { writeFinish } from "./finish.ts";
import { writeLogprobs } from "./logprobs.ts";
import { writeUsage } from "./usage.ts";
import { asksUsage } from "./write-request.ts";

const DONE = "data: [DONE]\n\n";

/** Turns events into `chat.completion.chunk` frames. */
export class ChunkWriter implements StreamWriter {
  readonly #model: string;
  readonly #choices: () => number;
  readonly #withUsage: boolean;
  /** What follows the choices: OpenAI says `usage: null` in each chunk when usage was asked for. */
  readonly #tail: string;
  /** What follows a delta that ends nothing. */
  readonly #quietTail: string;
  #head = "";
  /** The head up to the number of the choice. */
  #choiceHead = "";
  /** Choices that have said who speaks, by index. */
  readonly #opened: boolean[] = [];
  readonly #finished: boolean[] = [];
  /** Calls of custom tools, as `choice/call`: their deltas have a form of their own. */
  readonly #custom = new Set<string>();

  constructor(ask: ChatAsk) {
    this.#model = ask.model;
    this.#choices = () => ask.bounds().choices;
    this.#withUsage = asksUsage(ask.wire);
    this.#tail = this.#withUsage ? '}],"usage":null}\n\n' : "}]}\n\n";
    this.#quietTail = `,"logprobs":null,"finish_reason":null${this.#tail}`;
  }

  start(decision: Decision, createdWallMs = 0): string {
    const id = decision.upstreamId || `chatcmpl-${decision.requestId}`;
    this.#setHead(id, decision.model || this.#model, createdWallMs, decision.provider);
    return "";
  }

  events(events: readonly ChatEvent[]): string {
    let frames = "";
    for (const event of events) frames += this.#write(event);
    return frames;
  }

  end(outcome: Outcome, passedThrough: boolean): string {
    if (passedThrough) return DONE;
    let frames = "";
    if (this.#finished.length === 0) frames += this.#finish(0, outcome.finish);
    if (this.#withUsage) {
      const usage = JSON.stringify(writeUsage(outcome.usage, outcome.cost));
      frames += `${this.#head}"choices":[],"usage":${usage}}\n\n`;
    }
    return frames + DONE;
  }

  cut(outcome: Outcome, frames: Buffer): string {
    const { id, model, created } = readLastChunk(frames);
    const { requestId, upstreamId } = outcome.decision;
    this.#setHead(
      typeof id === "string" ? id : upstreamId || `chatcmpl-${requestId}`,
      typeof model === "string" ? model : this.#model,
      typeof created === "number" ? created * 1000 : 0,
      "",
    );
    let ends = "";
    for (let index = 0; index < this.#choices(); index++) {
      this.#opened[index] = true;
      ends += this.#finish(index, outcome.finish);
    }
    return ends + this.end(outcome, false);
  }

  error(error: MeshError, requestId: string): string {
    if (this.#head === "") this.#setHead(`chatcmpl-${requestId}`, this.#model, 0, "");
    const fault = JSON.stringify(writeError(error, requestId).error);
    const choice = '{"index":0,"delta":{},"logprobs":null,"finish_reason":"error"}';
    return `${this.#head}"choices":[${choice}],"error":${fault}}\n\n`;
  }

  #setHead(id: string, model: string, createdWallMs: number, provider: string): void {
    const created = Math.floor(createdWallMs / 1000);
    const more = provider === "" ? "" : `"provider":${JSON.stringify(provider)},`;
    const identity = `"id":${JSON.stringify(id)},"object":"chat.completion.chunk"`;
    const asked = `"model":${JSON.stringify(model)}`;
    this.#head = `data: {${identity},"created":${created},${asked},${more}`;
    this.#choiceHead = `${this.#head}"choices":[{"index":`;
  }

  #write(event: ChatEvent): string {
    switch (event.case) {
      case "textDelta": {
        const { choiceIndex, text } = event.value;
        if (this.#opened[choiceIndex] !== true) {
          return this.#delta(choiceIndex, `"content":${JSON.stringify(text)}`);
        }
        const words = JSON.stringify(text);
        return `${this.#choiceHead}${choiceIndex},"delta":{"content":${words}}${this.#quietTail}`;
      }
      case "reasoningDelta":
        return this.#writeReasoning(event.value);
      case "toolCallStarted":
        return this.#writeToolCall(event.value);
      case "toolCallArgumentsDelta": {
        const { choiceIndex, toolCallIndex, arguments: text } = event.value;
        const body = this.#custom.has(`${choiceIndex}/${toolCallIndex}`)
          ? `"custom":{"input":${JSON.stringify(text)}}`
          : `"function":{"arguments":${JSON.stringify(text)}}`;
        return this.#delta(choiceIndex, `"tool_calls":[{"index":${toolCallIndex},${body}}]`);
      }
      case "refusalDelta":
        return this.#delta(
          event.value.choiceIndex,
          `"refusal":${JSON.stringify(event.value.text)}`,
        );
      case "audioDelta":
        return this.#writeAudio(event.value);
      case "citationAdded": {
        if (event.value.citation === undefined) return "";
        const annotation = JSON.stringify(writeCitation(event.value.citation, 0));
        return this.#delta(event.value.choiceIndex, `"annotations":[${annotation}]`);
      }
      case "logprobsDelta": {
        const { choiceIndex, logprobs, refusalLogprobs } = event.value;
        const lists = JSON.stringify(writeLogprobs(logprobs, refusalLogprobs));
        return this.#choice(choiceIndex, "{}", lists, "null");
      }
      case "vendorPartAdded":
        return this.#writeVendorPart(event.value.choiceIndex, event.value.part);
      case "choiceFinished":
        return this.#finish(event.value.choiceIndex, event.value.finish);
      case "toolCallDone":
      case "started":
      case "finished":
        return "";
      default:
        return event satisfies never;
    }
  }

  /** A frame with one delta; the first of each choice says who speaks. */
  #delta(choiceIndex: number, fields: string): string {
    if (this.#opened[choiceIndex] === true) {
      return this.#choice(choiceIndex, `{${fields}}`, "null", "null");
    }
    this.#opened[choiceIndex] = true;
    const content = fields.startsWith('"content"') ? "" : '"content":null,';
    const refusal = fields.startsWith('"refusal"') ? "" : '"refusal":null,';
    const delta = `{"role":"assistant",${content}${refusal}${fields}}`;
    return this.#choice(choiceIndex, delta, "null", "null");
  }

  #choice(index: number, delta: string, logprobs: string, finishReason: string): string {
    const end = `"logprobs":${logprobs},"finish_reason":${finishReason}${this.#tail}`;
    return `${this.#choiceHead}${index},"delta":${delta},${end}`;
  }

  #finish(index: number, finish: Finish | undefined): string {
    this.#finished[index] = true;
    const word = writeFinish(finish);
    const raw = finish?.raw ?? "";
    const native =
      raw === "" || raw === word ? "" : `,"native_finish_reason":${JSON.stringify(raw)}`;
    if (this.#opened[index] !== true) {
      this.#opened[index] = true;
      const delta = '{"role":"assistant","content":"","refusal":null}';
      return this.#choice(index, delta, "null", `"${word}"${native}`);
    }
    return this.#choice(index, "{}", "null", `"${word}"${native}`);
  }

  /** Proofs go into `reasoning_details`, so that clients who send them back keep them. */
  #writeReasoning(delta: ReasoningDelta): string {
    const fields: WireObject = {};
    if (delta.text !== "") fields.reasoning_content = delta.text;
    const { reasoningIndex: index, signature, redacted } = delta;
    if (redacted !== "") {
      fields.reasoning_details = [{ type: "reasoning.encrypted", data: redacted, index }];
    } else if (signature !== "") {
      fields.reasoning_details = [{ type: "reasoning.text", signature, index }];
    }
    const json = JSON.stringify(fields);
    return json === "{}" ? "" : this.#delta(delta.choiceIndex, json.slice(1, -1));
  }

  #writeToolCall(call: ToolCallStarted): string {
    const { choiceIndex, toolCallIndex: index, id, name } = call;
    const wire: WireObject = { index, id };
    if (call.custom) {
      this.#custom.add(`${choiceIndex}/${index}`);
      wire.type = "custom";
      wire.custom = { name, input: "" };
    } else {
      wire.type = "function";
      wire.function = { name, arguments: "" };
    }
    if (call.signature !== "") {
      wire.extra_content = { google: { thought_signature: call.signature } };
    }
    return this.#delta(choiceIndex, `"tool_calls":[${JSON.stringify(wire)}]`);
  }

  #writeAudio(delta: AudioDelta): string {
    const audio: WireObject = {};
    if (delta.id !== "") audio.id = delta.id;
    if (delta.data.length > 0) audio.data = toBase64(delta.data);
    if (delta.transcript !== "") audio.transcript = delta.transcript;
    if (delta.expireTime !== undefined) {
      audio.expires_at = Math.floor(timestampMs(delta.expireTime) / 1000);
    }
    return this.#delta(delta.choiceIndex, `"audio":${JSON.stringify(audio)}`);
  }

  /** Pictures have a place, as OpenRouter has it; another dialect's pieces have none. */
  #writeVendorPart(choiceIndex: number, part: VendorPart | undefined): string {
    if (part?.dialect !== OWN_PART_DIALECT) return "";
    const content = fromJsonString(ContentPartSchema, part.json, {
      ignoreUnknownFields: true,
    }).part;
    if (content.case !== "image" || content.value.blob === undefined) return "";
    const url = writeBlobUrl(content.value.blob, "image/png");
    if (url === undefined) return "";
    const image = JSON.stringify({ type: "image_url", image_url: { url } });
    return this.#delta(choiceIndex, `"images":[${image}]`);
  }
}

/** The last chunk of some frames; an empty one where none can be read. */
function readLastChunk(frames: Buffer): JsonObject {
  let last: JsonObject = {};
  readFrames(frames, (_event, data) => {
    try {
      const chunk: unknown = JSON.parse(data);
      if (isJsonObject(chunk)) last = chunk;
    } catch {
      // A comment of the vendor's, or the end.
    }
  });
  return last;
}
