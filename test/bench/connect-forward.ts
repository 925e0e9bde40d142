/**
 * The same bare forward behind connect-node: what gRPC and Connect would cost without a door of our own.
 * `node connect-forward.ts UPSTREAM_ORIGIN` prints a line with two ports: HTTP/2 for gRPC, HTTP/1.1 for Connect.
 */
import { createServer as createHttp1 } from "node:http";
import { createServer as createHttp2 } from "node:http2";
import type { AddressInfo } from "node:net";
import { create } from "@bufbuild/protobuf";
import type { ConnectRouter } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { type Chat, Role } from "../../gen/weir/v1/chat_pb.ts";
import {
  ChatService,
  CreateChatResponseSchema,
  type StreamChatResponse,
  StreamChatResponseSchema,
} from "../../gen/weir/v1/chat_service_pb.ts";
import { type ForwardChat, Forwarder } from "./forward.ts";

const forwarder = new Forwarder(process.argv[2] ?? "http://127.0.0.1:1");

function readChat(chat: Chat | undefined): ForwardChat {
  return {
    model: chat?.model ?? "",
    messages: (chat?.messages ?? []).map(({ role, parts }) => {
      const part = parts[0]?.part;
      return { role, text: part?.case === "text" ? part.value.text : "" };
    }),
    temperature: chat?.sampling?.temperature,
    maxTokens: chat?.sampling?.maxTokens,
  };
}

const routes = (router: ConnectRouter) => {
  router.service(ChatService, {
    createChat: async ({ chat }) => {
      const { text, inputTokens, outputTokens } = await forwarder.create(readChat(chat));
      const parts = [{ part: { case: "text" as const, value: { text } } }];
      return create(CreateChatResponseSchema, {
        choices: [{ message: { role: Role.ASSISTANT, parts } }],
        usage: { inputTokens, outputTokens },
      });
    },
    streamChat: ({ chat }) => {
      const queue = new EventQueue();
      queue.push({ case: "started", value: {} });
      forwarder.stream(readChat(chat), {
        text: (text) => queue.push({ case: "textDelta", value: { text } }),
        end: (inputTokens, outputTokens) => {
          queue.push({ case: "finished", value: { usage: { inputTokens, outputTokens } } });
          queue.end(undefined);
        },
        fail: (error) => queue.end(error),
      });
      return queue.drain();
    },
  });
};

type EventInit = Parameters<typeof create<typeof StreamChatResponseSchema>>[1];

/** Hands events that are pushed to one who pulls. */
class EventQueue {
  #events: StreamChatResponse[] = [];
  #ended = false;
  #error: Error | undefined;
  #wake: (() => void) | undefined;

  push(event: NonNullable<EventInit>["event"]): void {
    this.#events.push(create(StreamChatResponseSchema, event === undefined ? {} : { event }));
    this.#wake?.();
  }

  end(error: Error | undefined): void {
    this.#ended = true;
    this.#error = error;
    this.#wake?.();
  }

  async *drain(): AsyncGenerator<StreamChatResponse> {
    for (;;) {
      const events = this.#events;
      this.#events = [];
      yield* events;
      if (this.#error !== undefined) throw this.#error;
      if (this.#events.length > 0) continue;
      if (this.#ended) return;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}

const adapter = connectNodeAdapter({ routes });
const http2 = createHttp2(adapter);
const http1 = createHttp1(adapter);
http2.listen(0, "127.0.0.1", () => {
  http1.listen(0, "127.0.0.1", () => {
    const [port, port1] = [http2, http1].map((each) => (each.address() as AddressInfo).port);
    process.stdout.write(`${JSON.stringify({ port, port1 })}\n`);
  });
});
