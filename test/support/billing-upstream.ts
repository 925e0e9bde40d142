/**
 * An upstream that keeps its own account of what it has billed: `node billing-upstream.ts` prints
 * its port and serves until its standard input ends. Chats are answered in OpenAI's dialect as
 * the first line of the prompt says (an `Order`); `GET /account` tells what was billed.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";

/** What the upstream charges for one token, in nano-USD. */
export const INPUT_NANO_USD = 50;
export const OUTPUT_NANO_USD = 200;

/** What a prompt orders of the upstream. */
export interface Order {
  /** To whose account the answer goes. */
  readonly account: string;
  /**
   * `tell` answers and counts; `mute` answers and counts nothing; `refuse` fails before anything is
   * billed; `cut` breaks off in the middle; `drop` bills everything and answers nothing.
   */
  readonly manner: "tell" | "mute" | "refuse" | "cut" | "drop";
  /** Tokens that a byte of the prompt has; 1 at most, as with any tokenizer of bytes. */
  readonly density: number;
  /** Tokens of the answer, unless the request allows fewer. */
  readonly output: number;
  /** How long the answer takes. */
  readonly ms: number;
}

/** What was billed to one account at one model. */
export interface Billed {
  requests: number;
  inputTokens: number;
  outputTokens: number;
  nanoUsd: number;
}

/** By `ACCOUNT MODEL`. */
export type Account = Record<string, Billed>;

const PIECES = 6;
const account: Account = {};

if (import.meta.main) {
  const server = createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
    if (request.url === "/account") response.end(JSON.stringify(account));
    else void serve(request, response);
  });
  server.listen({ host: "127.0.0.1", port: 0, backlog: 4_096 }, () => {
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("it has no port");
    process.stdout.write(`${address.port}\n`);
  });
  process.stdin.once("end", () => process.exit()).resume();
}

async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const pieces: Buffer[] = [];
  try {
    for await (const piece of request) pieces.push(piece);
  } catch {
    // It left before it had asked: nothing is billed.
    return;
  }
  const body = JSON.parse(Buffer.concat(pieces).toString());
  const prompt: string = body.messages[0].content;
  const order: Order = JSON.parse(prompt.slice(0, prompt.indexOf("\n")));
  if (order.manner === "refuse") {
    const error = { message: "ordered to fail", type: "server_error" };
    response.writeHead(500, { "content-type": "application/json" });
    response.end(JSON.stringify({ error }));
    return;
  }
  new Answer(order, body, response).begin(Buffer.byteLength(prompt));
}

interface ChatBody {
  readonly model: string;
  readonly stream?: boolean;
  readonly max_tokens?: number;
  readonly max_completion_tokens?: number;
  readonly stream_options?: { readonly include_usage?: boolean };
}

/** An answer that comes in a few pieces over its time, each billed as it is produced. */
class Answer {
  readonly #order: Order;
  readonly #body: ChatBody;
  readonly #response: ServerResponse;
  readonly #billed: Billed;
  readonly #total: number;
  #input = 0;
  #produced = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(order: Order, body: ChatBody, response: ServerResponse) {
    this.#order = order;
    this.#body = body;
    this.#response = response;
    account[`${order.account} ${body.model}`] ??= {
      requests: 0,
      inputTokens: 0,
      outputTokens: 0,
      nanoUsd: 0,
    };
    this.#billed = account[`${order.account} ${body.model}`] as Billed;
    const most = body.max_completion_tokens ?? body.max_tokens ?? Number.POSITIVE_INFINITY;
    this.#total = Math.min(order.output, most);
  }

  begin(promptBytes: number): void {
    this.#input = Math.max(1, Math.floor(promptBytes * this.#order.density));
    this.#billed.requests += 1;
    this.#billed.inputTokens += this.#input;
    this.#billed.nanoUsd += this.#input * INPUT_NANO_USD;
    this.#response.once("close", () => clearInterval(this.#timer));
    this.#response.on("error", () => {});
    const pieces = Math.min(PIECES, Math.max(1, this.#total));
    let left = pieces;
    this.#timer = setInterval(() => {
      this.#produce(Math.ceil((this.#total - this.#produced) / left));
      left -= 1;
      if (this.#order.manner === "cut" && left <= pieces / 2) this.#response.destroy();
      else if (left === 0) this.#end();
    }, this.#order.ms / pieces);
  }

  /** The vendor has made these tokens, whoever reads them. */
  #produce(tokens: number): void {
    this.#produced += tokens;
    this.#billed.outputTokens += tokens;
    this.#billed.nanoUsd += tokens * OUTPUT_NANO_USD;
    if (!this.#body.stream || this.#order.manner === "drop") return;
    this.#open("text/event-stream");
    this.#event({ choices: [{ index: 0, delta: { content: "word".repeat(tokens) } }] });
  }

  #end(): void {
    clearInterval(this.#timer);
    const response = this.#response;
    if (this.#order.manner === "drop") {
      response.destroy();
      return;
    }
    const usage = {
      prompt_tokens: this.#input,
      completion_tokens: this.#produced,
      total_tokens: this.#input + this.#produced,
    };
    const told = this.#order.manner === "mute" ? {} : { usage };
    if (this.#body.stream) {
      this.#event({ choices: [{ index: 0, delta: {}, finish_reason: "stop" }] });
      if (this.#body.stream_options?.include_usage) this.#event({ choices: [], ...told });
      response.end("data: [DONE]\n\n");
      return;
    }
    const message = { role: "assistant", content: "word".repeat(this.#produced) };
    this.#open("application/json");
    const choices = [{ index: 0, message, finish_reason: "stop" }];
    response.end(JSON.stringify({ ...this.#stem("chat.completion"), choices, ...told }));
  }

  #open(type: string): void {
    if (!this.#response.headersSent) this.#response.writeHead(200, { "content-type": type });
  }

  #event(fields: object): void {
    const event = { ...this.#stem("chat.completion.chunk"), ...fields };
    this.#response.write(`data: ${JSON.stringify(event)}\n\n`);
  }

  #stem(object: string) {
    return { id: "chatcmpl-1", object, created: 1, model: this.#body.model };
  }
}
