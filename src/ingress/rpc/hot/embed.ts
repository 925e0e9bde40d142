import { fromBinary } from "@bufbuild/protobuf";
import { EmbedRequestSchema } from "../../../../gen/weir/v1/embed_service_pb.ts";
import { createEmbedAsk } from "../../../dialects/typed-ask.ts";
import { createAnswerHeaders } from "../answer-headers.ts";
import type { RpcHouse } from "../rpc-house.ts";
import { validateEmbed } from "../validate-chat.ts";
import { frameVectors } from "./frame-answer.ts";
import type { HotMethod } from "./grpc-exchange.ts";
import { parseMessage } from "./parse-message.ts";

/** EmbedService.Embed. */
export function createEmbedMethod(house: RpcHouse): HotMethod {
  return {
    serve: async (exchange, message) => {
      const { call } = exchange;
      const request = validateEmbed(parseMessage(fromBinary, EmbedRequestSchema, message));
      exchange.enter();
      const outcome = await house.embed(call, createEmbedAsk(request, message.length));
      const frame = frameVectors(outcome.response());
      const { decision, cost } = outcome;
      exchange.start(createAnswerHeaders({ house, call, decision, cost }));
      exchange.finish(frame);
    },
  };
}
