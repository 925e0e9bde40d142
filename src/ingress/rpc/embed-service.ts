import { toBinary } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { EmbedRequestSchema, type EmbedService } from "../../../gen/weir/v1/embed_service_pb.ts";
import { createEmbedAsk } from "../../dialects/typed-ask.ts";
import { ConnectCall } from "./connect-call.ts";
import type { RpcHouse } from "./rpc-house.ts";
import { validateEmbed } from "./validate-chat.ts";

/** EmbedService for connect-node: the same handler as behind the hot door. */
export function createEmbedService(house: RpcHouse): ServiceImpl<typeof EmbedService> {
  return {
    embed: async (message, context) => {
      const rpc = new ConnectCall(house, context);
      try {
        const request = validateEmbed(message);
        rpc.enter();
        const bytes = toBinary(EmbedRequestSchema, request).length;
        const outcome = await house.embed(rpc.call, createEmbedAsk(request, bytes));
        rpc.describe(outcome.decision, outcome.cost);
        return outcome.response();
      } catch (thrown) {
        throw rpc.fail(thrown);
      } finally {
        rpc.close();
      }
    },
  };
}
