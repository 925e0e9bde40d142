import type { Usage } from "../../gen/weir/v1/usage_pb.ts";
import type { ChatVendorSide, StreamReader } from "../dialects/dialect.ts";
import type { ChatAsk } from "../mesh/ask.ts";
import { type ChatChunk, createEventChunk } from "../mesh/chunk.ts";
import type { MeshError } from "../mesh/errors.ts";
import { explodeAnswer } from "../mesh/explode.ts";
import type { UpstreamEnd, UpstreamHeaders, UpstreamSink } from "../mesh/upstream.ts";
import type { AnswerBody, BodyFlow } from "./answer-body.ts";
import type { AnswerReading } from "./exchange.ts";
import { StreamBody } from "./stream-body.ts";

/**
 * Reads the answer to a chat, plain or streamed: the content type says which, whatever was asked
 * for.
 */
export class ChatReading implements AnswerReading<UpstreamEnd> {
  readonly #vendor: ChatVendorSide;
  readonly #ask: ChatAsk;
  readonly #sink: UpstreamSink;
  #reader: StreamReader | undefined;
  #whole: ChatChunk | undefined;

  constructor(vendor: ChatVendorSide, ask: ChatAsk, sink: UpstreamSink) {
    this.#vendor = vendor;
    this.#ask = ask;
    this.#sink = sink;
  }

  readError(status: number, headers: UpstreamHeaders, body: Buffer): MeshError {
    return this.#vendor.readError(status, headers, body);
  }

  readWhole(body: Buffer): UpstreamEnd {
    const { chunk, end } = this.#vendor.readAnswer(body, this.#ask);
    this.#whole = chunk;
    this.#sink.chunk(this.#ask.stream ? asStreamed(chunk) : chunk);
    return end;
  }

  openStream(
    headers: UpstreamHeaders,
    flow: BodyFlow,
    succeed: (end: UpstreamEnd) => void,
  ): AnswerBody | undefined {
    if (!isStream(headers["content-type"], this.#ask.stream)) return undefined;
    this.#reader = this.#vendor.createStreamReader(this.#ask);
    return new StreamBody(flow, this.#sink, this.#reader, succeed);
  }

  counted(end: UpstreamEnd): boolean {
    return end.usage !== undefined;
  }

  /**
   * An estimate for an answer that nobody counted, be it that it broke off or that the upstream
   * does not count. A whole answer that broke off is estimated like a stream of which nothing was
   * seen.
   */
  partialUsage(): Usage {
    if (this.#reader !== undefined) return this.#reader.partialUsage();
    const usage = this.#vendor.createStreamReader(this.#ask).partialUsage();
    return { ...usage, outputTokens: usage.outputTokens + estimateTokens(this.#whole) };
  }
}

const BYTES_A_TOKEN = 4;

/** Tokens of what a caller sees of an answer. */
function estimateTokens(whole: ChatChunk | undefined): number {
  const answer = whole?.answer?.();
  if (answer === undefined) return 0;
  let bytes = 0;
  for (const event of explodeAnswer(answer)) {
    if (event.case === "toolCallArgumentsDelta") bytes += Buffer.byteLength(event.value.arguments);
    else if (event.case === "textDelta" || event.case === "reasoningDelta") {
      bytes += Buffer.byteLength(event.value.text);
    }
  }
  return Math.ceil(bytes / BYTES_A_TOKEN);
}

/**
 * A whole answer for a caller who asked for a stream: its body is no SSE and must not be passed on
 * as if it were.
 */
function asStreamed(chunk: ChatChunk): ChatChunk {
  const answer = chunk.answer?.();
  return answer === undefined ? chunk : createEventChunk(explodeAnswer(answer), chunk.content);
}

/** Small engines send streams as plain text or without a type; then what was asked for decides. */
function isStream(contentType: string | string[] | undefined, asked: boolean): boolean {
  const type = String(contentType ?? "").toLowerCase();
  if (type.startsWith("text/event-stream")) return true;
  return asked && (type === "" || type.startsWith("text/plain"));
}
