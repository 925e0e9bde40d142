import { StreamChatRequestSchema } from "../../../../gen/weir/v1/chat_service_pb.ts";
import { createChatAsk } from "../../../dialects/typed-ask.ts";
import type { ChatAsk } from "../../../mesh/ask.ts";
import type { Call } from "../../../mesh/call.ts";
import type { RpcHouse } from "../rpc-house.ts";
import { validateChat } from "../validate-chat.ts";
import { decodeChat } from "./decode-chat.ts";
import { EventSink } from "./event-sink.ts";
import { frameEvents } from "./frame-events.ts";
import type { HotMethod } from "./grpc-exchange.ts";
import { parseMessage } from "./parse-message.ts";

/** ChatService.StreamChat. */
export function createStreamChatMethod(house: RpcHouse): HotMethod {
  return {
    serve: (exchange, message) => {
      const chat = validateChat(parseMessage(decodeChat, StreamChatRequestSchema, message));
      exchange.enter();
      const ask = createChatAsk(chat, true, message.length);
      return streamEvents(house, exchange.call, ask, new EventSink(exchange, frameEvents));
    },
  };
}

/** Asks the house and writes what it answers, up to the end. Rejects with its error. */
export async function streamEvents(
  house: RpcHouse,
  call: Call,
  ask: ChatAsk,
  sink: EventSink,
): Promise<void> {
  try {
    sink.finish(await house.chat(call, ask, sink));
  } catch (thrown) {
    sink.flush();
    throw thrown;
  }
}
