import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { JsonObject } from "../../src/mesh/json.ts";

/** A request as it arrived, and what became of it. */
export interface ScriptedRequest {
  readonly body: JsonObject;
  /** True when the connection was ended before the answer. */
  aborted: boolean;
}

/**
 * An upstream of OpenAI's dialect that does what the model's name says, which is a script and,
 * behind a slash, anything that tells requests apart: `usage:P:C` answers and counts so many tokens,
 * `mute` answers and counts nothing, `status:N` refuses, `reset` breaks the connection. `hold:PLACE`
 * answers up to a place and then no further: `headers`, `first`, `middle`, `last` or `usage`.
 */
export class ScriptedUpstream {
  readonly requests: ScriptedRequest[] = [];
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
    server.on("request", (request, response) => void this.#serve(request, response));
  }

  static async start(): Promise<ScriptedUpstream> {
    const upstream = new ScriptedUpstream(createServer());
    await new Promise<void>((resolve) => upstream.#server.listen(0, "127.0.0.1", resolve));
    return upstream;
  }

  /** As a provider's base URL. */
  get baseUrl(): string {
    const address = this.#server.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    return `http://127.0.0.1:${port}/v1`;
  }

  /** The requests for a model. */
  of(model: string): readonly ScriptedRequest[] {
    return this.requests.filter(({ body }) => body.model === model);
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const pieces: Buffer[] = [];
    for await (const piece of request) pieces.push(piece);
    const body: JsonObject = JSON.parse(Buffer.concat(pieces).toString("utf8"));
    const seen: ScriptedRequest = { body, aborted: false };
    response.on("close", () => {
      seen.aborted = !response.writableFinished;
    });
    this.requests.push(seen);
    const [script = ""] = String(body.model).split("/");
    const [verb, ...words] = script.split(":");
    if (verb === "reset") response.destroy();
    else if (verb === "status") refuse(response, Number(words[0]));
    else if (body.stream === true) stream(response, verb === "hold" ? words[0] : undefined, words);
    else if (verb !== "hold") answer(response, verb === "usage" ? countOf(words) : undefined);
  }
}

const WORDS = ["one ", "two ", "three ", "four "];

function countOf([prompt, completion]: readonly string[]): JsonObject {
  return { prompt_tokens: Number(prompt), completion_tokens: Number(completion) };
}

function refuse(response: ServerResponse, status: number): void {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify({ error: { message: "as the script says" } }));
}

function answer(response: ServerResponse, usage: JsonObject | undefined): void {
  const message = { role: "assistant", content: WORDS.join("") };
  response.writeHead(200, { "content-type": "application/json" });
  response.end(
    JSON.stringify({
      id: "scripted",
      object: "chat.completion",
      choices: [{ index: 0, message, finish_reason: "stop" }],
      usage,
    }),
  );
}

/** Streams up to a place; to the end without one. */
function stream(
  response: ServerResponse,
  place: string | undefined,
  words: readonly string[],
): void {
  if (place === "headers") return;
  response.writeHead(200, { "content-type": "text/event-stream" });
  const send = (fields: JsonObject) => {
    const chunk = { id: "scripted", object: "chat.completion.chunk", ...fields };
    response.write(`data: ${JSON.stringify(chunk)}\n\n`);
  };
  const say = (delta: JsonObject, finish: string | null = null) =>
    send({ choices: [{ index: 0, delta, finish_reason: finish }] });
  say({ role: "assistant", content: "" });
  if (place === "first") return;
  for (const content of place === "middle" ? WORDS.slice(0, 2) : WORDS) say({ content });
  if (place === "middle") return;
  say({}, "stop");
  if (place === "last") return;
  const usage = place === "usage" ? { prompt_tokens: 10, completion_tokens: 2 } : countOf(words);
  send({ choices: [], usage });
  if (place !== "usage") response.end("data: [DONE]\n\n");
}
