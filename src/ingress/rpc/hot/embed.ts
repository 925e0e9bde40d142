import { fromBinary } from "@bufbuild/protobuf";
import { EmbedRequestSchema } from "../../../../gen/weir/v1/embed_service_pb.ts";
import { createEmbedAsk } from "../../../dialects/typed-ask.ts";
import type { EmbedAsk } from "../../../mesh/ask.ts";
import type { RpcHouse } from "../rpc-house.ts";
import { validateEmbed } from "../validate-chat.ts";
import { frameVectors } from "./frame-answer.ts";
import type { GrpcExchange, HotMethod } from "./grpc-exchange.ts";
import { parseMessage } from "./parse-message.ts";
import { READ_OPTIONS } from "./wire-reader.ts";

/** EmbedService.Embed. */
export function createEmbedMethod(house: RpcHouse): HotMethod {
  return {
    serve: (exchange, message) => {
      const request = validateEmbed(parseMessage(decodeEmbed, EmbedRequestSchema, message));
      exchange.enter();
      return answer(house, exchange, createEmbedAsk(request, message.length));
    },
  };
}

async function answer(house: RpcHouse, exchange: GrpcExchange, ask: EmbedAsk): Promise<void> {
  const outcome = await house.embed(exchange.call, ask);
  const frame = frameVectors(outcome.response());
  exchange.start(outcome.decision, outcome.cost);
  exchange.finish(frame);
}

const decodeEmbed = (schema: typeof EmbedRequestSchema, bytes: Buffer) =>
  fromBinary(schema, bytes, READ_OPTIONS);
