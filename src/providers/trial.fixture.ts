import { once } from "node:events";
import net from "node:net";
import { create } from "@bufbuild/protobuf";
import { onTestFinished } from "vitest";
import { ProviderSchema } from "../../gen/weir/admin/v1/provider_pb.ts";
import { anthropicChat } from "../dialects/anthropic/index.ts";
import { openaiChat, openaiEmbed } from "../dialects/openai/index.ts";
import type { ChatAsk } from "../mesh/ask.ts";
import { Cancellation } from "../mesh/cancellation.ts";
import type { ChatChunk } from "../mesh/chunk.ts";
import { explodeAnswer } from "../mesh/explode.ts";
import type { JsonObject } from "../mesh/json.ts";
import type { ProviderEntry, Target } from "../mesh/target.ts";
import type { Attempt, Upstream, UpstreamHeaders } from "../mesh/upstream.ts";

export const dialects = {
  openai: { chat: openaiChat, embed: openaiEmbed },
  anthropic: { chat: anthropicChat },
};

/** One chat through an upstream, with everything that it told. */
export interface Trial {
  readonly attempt: Attempt;
  readonly chunks: ChatChunk[];
  readonly opened: Array<{ status: number; headers: UpstreamHeaders }>;
  readonly done: ReturnType<Upstream["chat"]>;
  /** All text deltas joined. */
  text(): string;
  /** All bytes that came in wire form. */
  wire(): string;
  /** Lets a sink that is behind take more. */
  release(): void;
}

/** `behind` makes a sink that takes one chunk and then waits for `release`. */
export function startChat(upstream: Upstream, target: Target, ask: ChatAsk, behind = false): Trial {
  const chunks: ChatChunk[] = [];
  const opened: Trial["opened"] = [];
  const attempt = createAttempt(opened);
  const gate = Promise.withResolvers<void>();
  let waits = behind;
  const sink = {
    chunk: (chunk: ChatChunk) => {
      chunks.push(chunk);
      return !waits;
    },
    ready: () => gate.promise,
  };
  const done = upstream.chat(target, ask, sink, attempt);
  // A trial whose end nobody awaits must not end the test run.
  done.catch(() => {});
  return {
    attempt,
    chunks,
    opened,
    done,
    text: () =>
      chunks
        .flatMap((chunk) =>
          chunk.answer === undefined ? chunk.events() : explodeAnswer(chunk.answer()),
        )
        .map((event) => (event.case === "textDelta" ? event.value.text : ""))
        .join(""),
    wire: () =>
      Buffer.concat(chunks.map((chunk) => chunk.wire?.bytes ?? Buffer.alloc(0))).toString(),
    release: () => {
      waits = false;
      gate.resolve();
    },
  };
}

export function createAttempt(opened: Trial["opened"] = []): Attempt {
  return {
    requestId: "req_1",
    cancellation: new Cancellation(),
    warnings: [],
    partial: undefined,
    sent: false,
    opened: (status, headers) => opened.push({ status, headers }),
  };
}

/** A chat as a client of OpenAI's dialect asks it. */
export function askOpenai(fields: JsonObject = {}): ChatAsk {
  const body = { model: "m", messages: [{ role: "user", content: "hello weir" }], ...fields };
  return openaiChat.client.readAsk(body, JSON.stringify(body).length);
}

/** A chat as a client of Anthropic's dialect asks it. */
export function askAnthropic(fields: JsonObject = {}): ChatAsk {
  const messages = [{ role: "user", content: "hello weir" }];
  const body = { model: "m", max_tokens: 100, messages, ...fields };
  return anthropicChat.client.readAsk(body, JSON.stringify(body).length);
}

/** What of a target is to be other than usual. */
export interface TargetFields extends Partial<Omit<Target, "provider">> {
  readonly provider?: Partial<ProviderEntry>;
  /** Those of the provider. */
  readonly options?: Record<string, string>;
}

export function createTarget(
  baseUrl: string | readonly string[],
  fields: TargetFields = {},
): Target {
  const { provider, options, ...rest } = fields;
  const { dialect } = { dialect: "openai" as const, ...provider };
  return {
    id: "providers/test/m",
    model: "m",
    upstreamModel: "m",
    weight: 1,
    priority: 0,
    overrides: undefined,
    headers: {},
    price: undefined,
    capabilities: undefined,
    outputTokensMax: undefined,
    ...rest,
    provider: {
      name: "providers/test",
      dialect,
      baseUrls: typeof baseUrl === "string" ? [baseUrl] : baseUrl,
      secret: "sk-test",
      fault: undefined,
      resource: create(ProviderSchema, { dialect, options: options ?? {} }),
      ...provider,
    },
  };
}

/**
 * A server that speaks raw bytes: `answer` is called with the socket once a whole request has come.
 */
export interface RawServer {
  readonly url: string;
  readonly requests: string[];
  /** All connections that were ever made. */
  readonly sockets: net.Socket[];
  close(): Promise<void>;
}

export async function startRawServer(
  answer: (socket: net.Socket, request: string) => void,
): Promise<RawServer> {
  const requests: string[] = [];
  const sockets: net.Socket[] = [];
  const server = net.createServer({ noDelay: true }, (socket) => {
    sockets.push(socket);
    let text = "";
    socket.on("error", () => {});
    socket.on("data", (bytes) => {
      text += bytes.toString("latin1");
      const head = text.indexOf("\r\n\r\n");
      const length = Number(/content-length: (\d+)/i.exec(text)?.[1] ?? 0);
      if (head < 0 || text.length < head + 4 + length) return;
      const request = text;
      text = "";
      requests.push(request);
      answer(socket, request);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const port = typeof address === "object" ? address?.port : undefined;
  return {
    url: `http://127.0.0.1:${port}/v1`,
    requests,
    sockets,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}

/** A response with a length. */
export function writeResponse(
  status: number,
  body: string | Buffer,
  headers: Record<string, string> = { "content-type": "application/json" },
): Buffer {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  const length = `content-length: ${Buffer.byteLength(body)}\r\n\r\n`;
  const head = `HTTP/1.1 ${status} X\r\n${lines.join("")}${length}`;
  return Buffer.concat([Buffer.from(head), Buffer.from(body)]);
}

export const STREAM_HEAD =
  "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n" +
  "transfer-encoding: chunked\r\n\r\n";
export const STREAM_END = "0\r\n\r\n";

/** A piece of a chunked body. */
export function writeChunk(bytes: string | Buffer): Buffer {
  const length = Buffer.byteLength(bytes).toString(16);
  return Buffer.concat([Buffer.from(`${length}\r\n`), Buffer.from(bytes), Buffer.from("\r\n")]);
}

const CHUNK = { id: "c", object: "chat.completion.chunk", created: 1, model: "m-1" };

/** A frame of OpenAI's streams. */
export function writeDelta(content: string): string {
  const choices = [{ index: 0, delta: { content }, finish_reason: null }];
  return `data: ${JSON.stringify({ ...CHUNK, choices })}\n\n`;
}

/** The last frames of a sound stream of OpenAI's, without `[DONE]`. */
export function writeFinish(): string {
  const choices = [{ index: 0, delta: {}, finish_reason: "stop" }];
  const usage = { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 };
  const last = { ...CHUNK, choices: [], usage };
  return `data: ${JSON.stringify({ ...CHUNK, choices })}\n\ndata: ${JSON.stringify(last)}\n\n`;
}

export const DONE = "data: [DONE]\n\n";

/** A whole answer of OpenAI's dialect. */
export function writeAnswer(content: string): string {
  const choices = [{ index: 0, message: { role: "assistant", content }, finish_reason: "stop" }];
  const usage = { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 };
  return JSON.stringify({
    id: "c",
    object: "chat.completion",
    created: 1,
    model: "m-1",
    choices,
    usage,
  });
}

/** A raw server of one test, closed when that is over. */
export async function serve(answer: Parameters<typeof startRawServer>[0]): Promise<RawServer> {
  const server = await startRawServer(answer);
  onTestFinished(() => server.close());
  return server;
}
