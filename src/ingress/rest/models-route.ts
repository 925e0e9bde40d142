import { MeshError } from "../../mesh/errors.ts";
import type { JsonObject } from "../../mesh/json.ts";
import { answerJson } from "./answer.ts";
import { type Exchange, identifyCaller } from "./exchange.ts";
import { writeAnthropicModel, writeOpenaiModel } from "./model-json.ts";

/**
 * Answers `GET /v1/models`: what the caller may use, in the form of the vendor whose client asks.
 */
export function serveModels(exchange: Exchange): void {
  const models = exchange.house.listModels(identifyCaller(exchange));
  if (isForAnthropic(exchange)) {
    const data = models.map(writeAnthropicModel);
    const first_id = models[0]?.name ?? null;
    const last_id = models.at(-1)?.name ?? null;
    answerJson(exchange, 200, { data, has_more: false, first_id, last_id });
    return;
  }
  answerJson(exchange, 200, { object: "list", data: models.map(writeOpenaiModel) });
}

/** Answers `GET /v1/models/{id}`; an id may hold slashes, as they are or percent-encoded. */
export function serveModel(exchange: Exchange): void {
  const name = decodeName(exchange.parameter);
  const model = exchange.house.findModel(identifyCaller(exchange), name);
  if (model === undefined) {
    throw new MeshError(
      "MODEL_NOT_FOUND",
      "There is no such model, or this key may not use it. GET /v1/models lists those that it may.",
      { field: "model" },
    );
  }
  const json: JsonObject = isForAnthropic(exchange)
    ? writeAnthropicModel(model)
    : writeOpenaiModel(model);
  answerJson(exchange, 200, json);
}

function isForAnthropic(exchange: Exchange): boolean {
  return exchange.route.errors(exchange.http) === "anthropic";
}

function decodeName(parameter: string): string {
  try {
    return decodeURIComponent(parameter);
  } catch {
    throw new MeshError("INVALID_REQUEST", "The model's name is not well percent-encoded.", {
      field: "model",
    });
  }
}
