import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { create, toBinary, toJsonString } from "@bufbuild/protobuf";
import { type Chat, ChatSchema, Role } from "../../gen/weir/v1/chat_pb.ts";
import { CreateChatRequestSchema } from "../../gen/weir/v1/chat_service_pb.ts";

/** A question as each door takes it; all of them say the same. */
export type QuestionForm =
  | "openai"
  | "openai-stream"
  | "anthropic-stream"
  | "grpc"
  | "grpc-stream"
  | "connect";

/** Where a question goes. */
export interface Question {
  readonly form: QuestionForm;
  readonly port: number;
  /** Of the URL, for HTTP/1.1; of the RPC for gRPC. */
  readonly path: string;
  readonly model: string;
  readonly key: string | undefined;
}

/** Ten messages of about 170 characters, a usual question's size. */
const turns = [
  "You are a helpful assistant that answers questions about travel, food and geography. Be brief and polite, and name your source where you can.",
  ...Array.from(
    { length: 9 },
    (_, at) =>
      `${at + 1}. Where would you go for three days in Lisbon in early spring, with two children who like museums and parks, and a budget of about 200 euros a day, hotel included?`,
  ),
];
const TEMPERATURE = 0.7;
const MAX_TOKENS = 256;

/** Writes the bytes of a question as a client would send them; returns the file. */
export function writeQuestion(directory: string, name: string, question: Question): string {
  mkdirSync(directory, { recursive: true });
  const file = join(directory, `${name}.request`);
  const bytes = isGrpc(question.form) ? encodeGrpc(question) : encodeHttp1(question);
  writeFileSync(file, bytes);
  return file;
}

/** Whether a form goes over HTTP/2 in gRPC framing. */
export function isGrpc(form: QuestionForm): boolean {
  return form === "grpc" || form === "grpc-stream";
}

/** Header fields that show who asks. */
export function listCredentialFields({ form, key }: Question): Readonly<Record<string, string>> {
  if (key === undefined) return {};
  return form === "anthropic-stream" ? { "x-api-key": key } : { authorization: `Bearer ${key}` };
}

function encodeGrpc({ model }: Question): Buffer {
  const message = toBinary(
    CreateChatRequestSchema,
    create(CreateChatRequestSchema, { chat: createChat(model) }),
  );
  const frame = Buffer.alloc(5 + message.length);
  frame.writeUInt32BE(message.length, 1);
  frame.set(message, 5);
  return frame;
}

function encodeHttp1(question: Question): Buffer {
  const body = Buffer.from(writeBody(question.form, question.model));
  const fields = {
    host: `127.0.0.1:${question.port}`,
    "user-agent": "weir-bench",
    accept: "*/*",
    "content-type": "application/json",
    ...listCredentialFields(question),
    ...(question.form === "anthropic-stream" ? { "anthropic-version": "2023-06-01" } : {}),
    "content-length": String(body.length),
  };
  const lines = Object.entries(fields).map(([field, value]) => `${field}: ${value}\r\n`);
  const head = `POST ${question.path} HTTP/1.1\r\n${lines.join("")}\r\n`;
  return Buffer.concat([Buffer.from(head), body]);
}

/** The JSON body of a question that is not asked over gRPC. */
export function writeBody(form: QuestionForm, model: string): string {
  if (form === "connect") {
    const request = create(CreateChatRequestSchema, { chat: createChat(model) });
    return toJsonString(CreateChatRequestSchema, request);
  }
  const [system = "", ...others] = turns;
  const said = others.map((content, at) => ({
    role: at % 2 === 0 ? "user" : "assistant",
    content,
  }));
  const base = { model, temperature: TEMPERATURE, max_tokens: MAX_TOKENS };
  if (form === "anthropic-stream") {
    return JSON.stringify({ ...base, system, messages: said, stream: true });
  }
  const messages = [{ role: "system", content: system }, ...said];
  const wish = { stream: true, stream_options: { include_usage: true } };
  return JSON.stringify({ ...base, messages, ...(form === "openai" ? {} : wish) });
}

function createChat(model: string): Chat {
  const speak = (at: number) => (at % 2 === 1 ? Role.USER : Role.ASSISTANT);
  return create(ChatSchema, {
    model,
    messages: turns.map((text, at) => ({
      role: at === 0 ? Role.SYSTEM : speak(at),
      parts: [{ part: { case: "text" as const, value: { text } } }],
    })),
    sampling: { temperature: TEMPERATURE, maxTokens: MAX_TOKENS },
  });
}
