import type { Decision } from "../../../../gen/weir/v1/chat_pb.ts";
import { StreamChatRequestSchema } from "../../../../gen/weir/v1/chat_service_pb.ts";
import { createChatAsk } from "../../../dialects/typed-ask.ts";
import type { ChatChunk } from "../../../mesh/chunk.ts";
import type { Outcome } from "../../../mesh/outcome.ts";
import type { ChatSink } from "../../../mesh/sink.ts";
import { createAnswerHeaders } from "../answer-headers.ts";
import { createFinishedEvent, createStartedEvent } from "../chat-events.ts";
import type { RpcHouse } from "../rpc-house.ts";
import { validateChat } from "../validate-chat.ts";
import { frameEvents } from "./frame-events.ts";
import type { GrpcExchange, HotMethod } from "./grpc-exchange.ts";
import { parseMessage } from "./parse-message.ts";

/** ChatService.StreamChat. */
export function createStreamChatMethod(house: RpcHouse): HotMethod {
  return {
    serve: async (exchange, message) => {
      const chat = validateChat(parseMessage(StreamChatRequestSchema, message).chat);
      const sink = new GrpcStreamSink(exchange);
      exchange.enter();
      const ask = createChatAsk(chat, true, message.length);
      sink.finish(await house.chat(exchange.call, ask, sink));
    },
  };
}

/** Writes the events of each chunk at once, in one write. */
class GrpcStreamSink implements ChatSink {
  readonly #exchange: GrpcExchange;
  #started = false;
  /**
   * `started`, which goes out together with the first chunk: a write fewer is worth more than any
   * codec.
   */
  #held: Buffer | undefined;

  constructor(exchange: GrpcExchange) {
    this.#exchange = exchange;
  }

  start(decision: Decision): void {
    this.#begin(decision);
    // The first chunk follows within this turn as a rule; when it does not, the caller must not
    // wait for it.
    process.nextTick(flushHeld, this);
  }

  chunk(chunk: ChatChunk): boolean {
    const held = this.#held;
    this.#held = undefined;
    const frames = frameEvents(chunk.events(), held);
    return frames.length === 0 || this.#exchange.write(frames);
  }

  ready(): Promise<void> {
    return this.#exchange.ready();
  }

  finish(outcome: Outcome): void {
    if (!this.#started) this.#begin(outcome.decision);
    const held = this.#held;
    this.#held = undefined;
    this.#exchange.finish(frameEvents([createFinishedEvent(outcome)], held));
  }

  flush(): void {
    const held = this.#held;
    this.#held = undefined;
    if (held !== undefined) this.#exchange.write(held);
  }

  #begin(decision: Decision): void {
    this.#started = true;
    const { call, house } = this.#exchange;
    this.#exchange.start(createAnswerHeaders({ house, call, decision, cost: undefined }));
    this.#held = frameEvents([createStartedEvent(decision)]);
  }
}

function flushHeld(sink: GrpcStreamSink): void {
  sink.flush();
}
