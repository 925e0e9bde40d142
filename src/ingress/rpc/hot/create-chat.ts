import { CreateChatRequestSchema } from "../../../../gen/weir/v1/chat_service_pb.ts";
import { createChatAsk } from "../../../dialects/typed-ask.ts";
import { createAnswerHeaders } from "../answer-headers.ts";
import type { RpcHouse } from "../rpc-house.ts";
import { UnarySink } from "../unary-sink.ts";
import { validateChat } from "../validate-chat.ts";
import { decodeChat } from "./decode-chat.ts";
import { frameChatAnswer } from "./frame-answer.ts";
import type { HotMethod } from "./grpc-exchange.ts";
import { parseMessage } from "./parse-message.ts";

/** ChatService.CreateChat. */
export function createCreateChatMethod(house: RpcHouse): HotMethod {
  return {
    serve: async (exchange, message) => {
      const { call } = exchange;
      const chat = validateChat(parseMessage(decodeChat, CreateChatRequestSchema, message));
      const sink = new UnarySink();
      exchange.enter();
      const outcome = await house.chat(call, createChatAsk(chat, false, message.length), sink);
      const frame = frameChatAnswer(sink.answer(outcome));
      const { decision, cost } = outcome;
      exchange.start(createAnswerHeaders({ house, call, decision, cost }));
      exchange.finish(frame);
    },
  };
}
