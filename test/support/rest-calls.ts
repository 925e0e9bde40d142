import { Agent, type Dispatcher, request } from "undici";
import { KEY, type WeirProcess } from "./weir-process.ts";

/** A body in JSON, as tests look into it. */
// biome-ignore lint/suspicious/noExplicitAny: what is not there fails the test that looks for it.
export type Body = any;

/** An answer that has been read to its end. */
export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
  /** The body, when it is JSON. */
  readonly json: Body;
  readonly requestId: string;
}

export interface PostOptions {
  readonly key?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Default: a new connection for each request, so that the kernel chooses a worker anew. */
  readonly dispatcher?: Dispatcher;
  readonly timeoutMs?: number;
}

/** Posts a body over a connection of its own, and reads the answer. */
export async function post(
  weir: Pick<WeirProcess, "url">,
  path: string,
  body: object | string,
  options: PostOptions = {},
): Promise<Answer> {
  const { key = KEY, headers = {}, timeoutMs = 60_000 } = options;
  const own = options.dispatcher === undefined ? new Agent() : undefined;
  try {
    const answer = await request(`${weir.url}${path}`, {
      method: "POST",
      dispatcher: options.dispatcher ?? own ?? new Agent(),
      headers: { authorization: `Bearer ${key}`, "content-type": "application/json", ...headers },
      body: typeof body === "string" ? body : JSON.stringify(body),
      signal: AbortSignal.timeout(timeoutMs),
    });
    return readAnswer(answer.statusCode, answer.headers, await answer.body.text());
  } finally {
    await own?.close();
  }
}

/** A chat over `/v1/chat/completions`, with parameters of the simulated engine. */
export function chat(
  weir: Pick<WeirProcess, "url">,
  fields: Readonly<Record<string, unknown>> = {},
  options: PostOptions = {},
): Promise<Answer> {
  return post(weir, "/v1/chat/completions", chatBody(fields), options);
}

export function chatBody(fields: Readonly<Record<string, unknown>> = {}): object {
  return { model: "sim/echo", messages: [{ role: "user", content: "one two" }], ...fields };
}

/** The text of a stream of OpenAI's. */
export function streamText(text: string): string {
  return listData(text)
    .map((data) => data.choices?.[0]?.delta?.content ?? "")
    .join("");
}

/** The events of a stream, without `[DONE]`. */
export function listData(text: string): Body[] {
  return text
    .split("\n")
    .filter((line) => line.startsWith("data: ") && line !== "data: [DONE]")
    .map((line) => JSON.parse(line.slice(6)));
}

function readAnswer(status: number, headers: Answer["headers"], text: string): Answer {
  let json: Body;
  try {
    json = JSON.parse(text);
  } catch {
    json = undefined;
  }
  return { status, headers, text, json, requestId: String(headers["x-request-id"] ?? "") };
}
