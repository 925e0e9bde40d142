import type { ServiceImpl } from "@connectrpc/connect";
import type { Model, ModelService } from "../../../gen/weir/v1/model_service_pb.ts";
import { MeshError } from "../../mesh/errors.ts";
import { ConnectCall } from "./connect-call.ts";
import type { RpcHouse } from "./rpc-house.ts";

const PAGE_SIZE_DEFAULT = 100;
const PAGE_SIZE_MAX = 1000;

/** ModelService: what the caller may use, and nothing else. */
export function createModelService(house: RpcHouse): ServiceImpl<typeof ModelService> {
  return {
    listModels: (request, context) => {
      const rpc = new ConnectCall(house, context);
      try {
        const models = house.listModels(house.identify(rpc.call.credential));
        const page = cutPage(models, request.pageSize, request.pageToken);
        rpc.describe(undefined, undefined);
        return page;
      } catch (thrown) {
        throw rpc.fail(thrown);
      } finally {
        rpc.close();
      }
    },
    getModel: (request, context) => {
      const rpc = new ConnectCall(house, context);
      try {
        const principal = house.identify(rpc.call.credential);
        if (request.model === "") {
          throw new MeshError("INVALID_REQUEST", "model: is required.", { field: "model" });
        }
        const model = house.findModel(principal, request.model);
        if (model === undefined) {
          const text = `There is no model ${JSON.stringify(request.model)} that you may use.`;
          throw new MeshError("MODEL_NOT_FOUND", `${text} ListModels tells which there are.`);
        }
        rpc.describe(undefined, undefined);
        return { model };
      } catch (thrown) {
        throw rpc.fail(thrown);
      } finally {
        rpc.close();
      }
    },
  };
}

/**
 * A page of what is listed by name; its token is the last name, so that it holds while models come
 * and go.
 */
function cutPage(models: readonly Model[], pageSize: number, pageToken: string) {
  if (pageSize < 0 || pageSize > PAGE_SIZE_MAX) {
    throw new MeshError("INVALID_REQUEST", `page_size: must be from 1 to ${PAGE_SIZE_MAX}, or 0.`, {
      field: "page_size",
    });
  }
  const size = pageSize === 0 ? PAGE_SIZE_DEFAULT : pageSize;
  const begin = pageToken === "" ? 0 : findBegin(models, pageToken);
  const page = models.slice(begin, begin + size);
  const last = page.at(-1);
  const more = last !== undefined && begin + size < models.length;
  const nextPageToken = more ? Buffer.from(last.name).toString("base64url") : "";
  return { models: page, nextPageToken };
}

function findBegin(models: readonly Model[], pageToken: string): number {
  const name = Buffer.from(pageToken, "base64url").toString();
  if (Buffer.from(name).toString("base64url") !== pageToken) {
    const text = "page_token: must be the next_page_token of the page before.";
    throw new MeshError("INVALID_REQUEST", text, { field: "page_token" });
  }
  const at = models.findIndex((model) => model.name >= name);
  if (at < 0) return models.length;
  return models[at]?.name === name ? at + 1 : at;
}
