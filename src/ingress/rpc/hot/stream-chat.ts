import type { Decision } from "../../../../gen/weir/v1/chat_pb.ts";
import { StreamChatRequestSchema } from "../../../../gen/weir/v1/chat_service_pb.ts";
import { createChatAsk } from "../../../dialects/typed-ask.ts";
import type { ChatAsk } from "../../../mesh/ask.ts";
import type { ChatChunk } from "../../../mesh/chunk.ts";
import type { Outcome } from "../../../mesh/outcome.ts";
import type { ChatSink } from "../../../mesh/sink.ts";
import { createFinishedEvent, createStartedEvent } from "../chat-events.ts";
import type { RpcHouse } from "../rpc-house.ts";
import { validateChat } from "../validate-chat.ts";
import { decodeChat } from "./decode-chat.ts";
import { frameEvents } from "./frame-events.ts";
import type { GrpcExchange, HotMethod } from "./grpc-exchange.ts";
import { parseMessage } from "./parse-message.ts";

/** ChatService.StreamChat. */
export function createStreamChatMethod(house: RpcHouse): HotMethod {
  return {
    serve: (exchange, message) => {
      const chat = validateChat(parseMessage(decodeChat, StreamChatRequestSchema, message));
      exchange.enter();
      return answer(house, exchange, createChatAsk(chat, true, message.length));
    },
  };
}

async function answer(house: RpcHouse, exchange: GrpcExchange, ask: ChatAsk): Promise<void> {
  const sink = new GrpcStreamSink(exchange);
  try {
    sink.finish(await house.chat(exchange.call, ask, sink));
  } catch (thrown) {
    sink.flush();
    throw thrown;
  }
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
  /** The last chunk, which goes out together with `finished`. */
  #last: Buffer | undefined;

  constructor(exchange: GrpcExchange) {
    this.#exchange = exchange;
  }

  start(decision: Decision): void {
    this.#begin(decision);
    // The first chunk follows within this turn as a rule; when it does not, the caller must not
    // wait for it.
    process.nextTick(flushStarted, this);
  }

  chunk(chunk: ChatChunk, last?: boolean): boolean {
    const held = this.#held;
    this.#held = undefined;
    const frames = frameEvents(chunk.events(), held);
    if (last === true) {
      this.#last = frames;
      return true;
    }
    return frames.length === 0 || this.#exchange.write(frames);
  }

  ready(): Promise<void> {
    return this.#exchange.ready();
  }

  finish(outcome: Outcome): void {
    if (!this.#started) this.#begin(outcome.decision);
    const held = this.#last ?? this.#held;
    this.#last = undefined;
    this.#held = undefined;
    this.#exchange.finish(frameEvents([createFinishedEvent(outcome)], held));
  }

  /** Sends `started` when no chunk has taken it along. */
  flushStarted(): void {
    const held = this.#held;
    this.#held = undefined;
    if (held !== undefined) this.#exchange.write(held);
  }

  /** Sends what waits for an end that will not come. */
  flush(): void {
    this.flushStarted();
    const last = this.#last;
    this.#last = undefined;
    if (last !== undefined && last.length > 0) this.#exchange.write(last);
  }

  #begin(decision: Decision): void {
    this.#started = true;
    this.#exchange.start(decision, undefined);
    this.#held = frameEvents([createStartedEvent(decision)]);
  }
}

function flushStarted(sink: GrpcStreamSink): void {
  sink.flushStarted();
}
