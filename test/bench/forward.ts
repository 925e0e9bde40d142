import type { IncomingHttpHeaders } from "node:http";
import { Agent, type Dispatcher } from "undici";
import { models } from "./upstream-bytes.ts";

/** A question, as both RPC libraries decode it: as much of `weir.v1.Chat` as the bench's own request sets. */
export interface ForwardChat {
  readonly model: string;
  readonly messages: ReadonlyArray<{ readonly role: number; readonly text: string }>;
  readonly temperature: number | undefined;
  readonly maxTokens: number | undefined;
}

/** What came back. */
export interface ForwardAnswer {
  readonly text: string;
  readonly inputTokens: number;
  readonly outputTokens: number;
}

/** Takes a streamed answer. */
export interface ForwardSink {
  text(text: string): void;
  end(inputTokens: number, outputTokens: number): void;
  fail(error: Error): void;
}

/**
 * The least that any gRPC server must do in front of a JSON upstream, the same for each library: the message as JSON,
 * undici's dispatch, JSON.parse, the answer as a message.
 */
export class Forwarder {
  readonly #origin: string;
  readonly #agent = new Agent({ bodyTimeout: 0, headersTimeout: 0 });

  constructor(origin: string) {
    this.#origin = origin;
  }

  create(chat: ForwardChat): Promise<ForwardAnswer> {
    return new Promise((resolve, reject) => {
      this.#dispatch(chat, false, new WholeAnswer(resolve, reject));
    });
  }

  stream(chat: ForwardChat, sink: ForwardSink): void {
    this.#dispatch(chat, true, new StreamedAnswer(sink));
  }

  #dispatch(chat: ForwardChat, stream: boolean, handler: Dispatcher.DispatchHandler): void {
    const headers = { "content-type": "application/json" };
    const path = `${chat.model === models.paced ? "/paced" : ""}/v1/chat/completions`;
    const body = writeBody(chat, stream);
    this.#agent.dispatch({ origin: this.#origin, path, method: "POST", headers, body }, handler);
  }
}

interface WireAnswer {
  readonly choices: ReadonlyArray<{
    readonly message?: { readonly content: string };
    readonly delta?: { readonly content?: string };
  }>;
  readonly usage?: { readonly prompt_tokens: number; readonly completion_tokens: number };
}

class WholeAnswer implements Dispatcher.DispatchHandler {
  readonly #resolve: (answer: ForwardAnswer) => void;
  readonly #reject: (error: Error) => void;
  readonly #pieces: Buffer[] = [];

  constructor(resolve: (answer: ForwardAnswer) => void, reject: (error: Error) => void) {
    this.#resolve = resolve;
    this.#reject = reject;
  }

  onRequestStart(): void {}
  onResponseStart(_: Dispatcher.DispatchController, _status: number, __: IncomingHttpHeaders) {}

  onResponseData(_: Dispatcher.DispatchController, piece: Buffer): void {
    this.#pieces.push(piece);
  }

  onResponseEnd(): void {
    const answer: WireAnswer = JSON.parse(Buffer.concat(this.#pieces).toString());
    this.#resolve({
      text: answer.choices[0]?.message?.content ?? "",
      inputTokens: answer.usage?.prompt_tokens ?? 0,
      outputTokens: answer.usage?.completion_tokens ?? 0,
    });
  }

  onResponseError(_: Dispatcher.DispatchController, error: Error): void {
    this.#reject(error);
  }
}

class StreamedAnswer implements Dispatcher.DispatchHandler {
  readonly #sink: ForwardSink;
  #rest = "";
  #usage: WireAnswer["usage"];

  constructor(sink: ForwardSink) {
    this.#sink = sink;
  }

  onRequestStart(): void {}
  onResponseStart(_: Dispatcher.DispatchController, _status: number, __: IncomingHttpHeaders) {}

  onResponseData(_: Dispatcher.DispatchController, piece: Buffer): void {
    const frames = (this.#rest + piece.toString("latin1")).split("\n\n");
    this.#rest = frames.pop() ?? "";
    for (const frame of frames) this.#take(frame.slice(6));
  }

  onResponseEnd(): void {
    this.#sink.end(this.#usage?.prompt_tokens ?? 0, this.#usage?.completion_tokens ?? 0);
  }

  onResponseError(_: Dispatcher.DispatchController, error: Error): void {
    this.#sink.fail(error);
  }

  #take(data: string): void {
    if (data === "[DONE]") return;
    const event: WireAnswer = JSON.parse(data);
    if (event.usage !== undefined) this.#usage = event.usage;
    const text = event.choices[0]?.delta?.content;
    if (text !== undefined && text !== "") this.#sink.text(text);
  }
}

const roles = ["user", "system", "developer", "user", "assistant", "tool"];

function writeBody(chat: ForwardChat, stream: boolean): string {
  return JSON.stringify({
    model: chat.model,
    messages: chat.messages.map(({ role, text }) => ({ role: roles[role], content: text })),
    temperature: chat.temperature,
    max_tokens: chat.maxTokens,
    ...(stream ? { stream, stream_options: { include_usage: true } } : {}),
  });
}
