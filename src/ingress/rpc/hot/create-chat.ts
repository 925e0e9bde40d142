import { CreateChatRequestSchema } from "../../../../gen/weir/v1/chat_service_pb.ts";
import { createChatAsk } from "../../../dialects/typed-ask.ts";
import type { ChatAsk } from "../../../mesh/ask.ts";
import type { RpcHouse } from "../rpc-house.ts";
import { UnarySink } from "../unary-sink.ts";
import { validateChat } from "../validate-chat.ts";
import { decodeChat } from "./decode-chat.ts";
import { frameChatAnswer } from "./frame-answer.ts";
import type { GrpcExchange, HotMethod } from "./grpc-exchange.ts";
import { parseMessage } from "./parse-message.ts";

/** ChatService.CreateChat. */
export function createCreateChatMethod(house: RpcHouse): HotMethod {
  return {
    serve: (exchange, message) => {
      const chat = validateChat(parseMessage(decodeChat, CreateChatRequestSchema, message));
      exchange.enter();
      return answer(house, exchange, createChatAsk(chat, false, message.length));
    },
  };
}

async function answer(house: RpcHouse, exchange: GrpcExchange, ask: ChatAsk): Promise<void> {
  const sink = new UnarySink();
  const outcome = await house.chat(exchange.call, ask, sink);
  const frame = frameChatAnswer(sink.answer(outcome));
  exchange.start(outcome.decision, outcome.cost);
  exchange.finish(frame);
}
