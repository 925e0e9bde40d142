import { toJson } from "@bufbuild/protobuf";
import { z } from "zod";
import { type Model, Model_Health, ModelSchema } from "../../gen/weir/v1/model_service_pb.ts";
import { formatNanoUsd } from "../ingress/rest/decimal.ts";
import type { Command } from "./command.ts";
import {
  callerOptions,
  connectionShape,
  outputOption,
  outputShape,
  withCaller,
} from "./connection.ts";
import { print, printJson } from "./output.ts";
import { type OptionSpecs, readOptions } from "./read-options.ts";
import { formatTable } from "./table.ts";

const options: OptionSpecs = { ...callerOptions, ...outputOption };
const schema = z.object({ ...connectionShape, ...outputShape });

/** `weir models`: what the key may ask. */
export const command: Command = {
  name: "models",
  summary: "List the models that the key may use.",
  synopsis: "[OPTION…]",
  options,
  run: (args, env) => {
    const { options: given } = readOptions(args, options, schema, env);
    return withCaller("models", given, async (client) => {
      const models = await client.models.list();
      if (given.output === "json") printJson(models.map((model) => toJson(ModelSchema, model)));
      else if (models.length === 0)
        print("This key may use no model: an access policy must allow one.");
      else print(formatModels(models));
      return 0;
    });
  },
};

function formatModels(models: readonly Model[]): string {
  const columns = [
    { title: "MODEL" },
    { title: "CAN" },
    { title: "CONTEXT", right: true },
    { title: "INPUT $/M", right: true },
    { title: "OUTPUT $/M", right: true },
    { title: "HEALTH" },
  ];
  const rows = models.map((model) => [
    model.name,
    model.capabilities.join(",") || "?",
    model.contextTokensMax === 0 ? "?" : String(model.contextTokensMax),
    formatPrice(model.price?.inputNanoUsdPerMillion),
    formatPrice(model.price?.outputNanoUsdPerMillion),
    healthWords.get(model.health) ?? "?",
  ]);
  return formatTable(columns, rows);
}

/** Dollars for a million tokens. */
function formatPrice(nanoUsdPerMillion: bigint | undefined): string {
  return nanoUsdPerMillion === undefined ? "?" : formatNanoUsd(nanoUsdPerMillion);
}

const healthWords = new Map<Model_Health, string>([
  [Model_Health.UNSPECIFIED, "unknown"],
  [Model_Health.HEALTHY, "healthy"],
  [Model_Health.DEGRADED, "degraded"],
  [Model_Health.UNHEALTHY, "unhealthy"],
]);
