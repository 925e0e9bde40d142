import { toBinary } from "@bufbuild/protobuf";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import { type Chat, ChatSchema } from "../../../gen/weir/v1/chat_pb.ts";
import type { ChatService, StreamChatResponse } from "../../../gen/weir/v1/chat_service_pb.ts";
import { createChatAsk } from "../../dialects/typed-ask.ts";
import { MeshError } from "../../mesh/errors.ts";
import { ChannelSink } from "./channel-sink.ts";
import { createFinishedEvent } from "./chat-events.ts";
import { ConnectCall } from "./connect-call.ts";
import type { RpcHouse } from "./rpc-house.ts";
import { UnarySink } from "./unary-sink.ts";
import { validateChat } from "./validate-chat.ts";

/** ChatService for connect-node: the same handlers as behind the hot door. */
export function createChatService(house: RpcHouse): ServiceImpl<typeof ChatService> {
  return {
    createChat: async (request, context) => {
      const rpc = new ConnectCall(house, context);
      try {
        const chat = validateChat(request.chat);
        const sink = new UnarySink();
        rpc.enter();
        const ask = createChatAsk(chat, false, measure(chat));
        const outcome = await house.chat(rpc.call, ask, sink);
        rpc.describe(outcome.decision, outcome.cost);
        return sink.answer(outcome);
      } catch (thrown) {
        throw rpc.fail(thrown);
      } finally {
        rpc.close();
      }
    },
    streamChat: (request, context) => streamChat(house, request.chat, context),
  };
}

async function* streamChat(
  house: RpcHouse,
  asked: Chat | undefined,
  context: HandlerContext,
): AsyncGenerator<StreamChatResponse> {
  const rpc = new ConnectCall(house, context);
  const { cancellation } = rpc.call;
  const channel = new ChannelSink(cancellation);
  let ended = false;
  try {
    const chat = validateChat(asked);
    rpc.enter();
    const ask = createChatAsk(chat, true, measure(chat));
    house.chat(rpc.call, ask, channel).then(
      (outcome) => {
        if (channel.decision === undefined) channel.start(outcome.decision);
        channel.close(createFinishedEvent(outcome));
      },
      (error: unknown) => channel.fail(error),
    );
    for (let first = true; ; first = false) {
      const events = await channel.take();
      if (events === undefined) break;
      if (first) rpc.describe(channel.decision, undefined);
      for (const event of events) yield { $typeName: "weir.v1.StreamChatResponse", event };
    }
    ended = true;
  } catch (thrown) {
    ended = true;
    throw rpc.fail(thrown);
  } finally {
    if (!ended) {
      cancellation.cancel(new MeshError("CALLER_GONE", "The caller stopped reading."));
    }
    rpc.close();
  }
}

/**
 * connect-node does not tell how long the request was, and its JSON form is longer than what a
 * vendor is sent.
 */
function measure(chat: Chat): number {
  return toBinary(ChatSchema, chat).length;
}
