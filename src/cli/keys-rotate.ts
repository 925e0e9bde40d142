import { toJson } from "@bufbuild/protobuf";
import { z } from "zod";
import { RotateKeyResponseSchema } from "../../gen/weir/admin/v1/admin_service_pb.ts";
import type { Environment } from "./command.ts";
import {
  adminOptions,
  connectionShape,
  outputOption,
  outputShape,
  withAdmin,
} from "./connection.ts";
import { printSecret } from "./key-secret-output.ts";
import { printJson, printNote } from "./output.ts";
import { parseSpan, toDuration } from "./quantities.ts";
import { type OptionSpecs, readOptions } from "./read-options.ts";
import { keyKind } from "./resource-kinds.ts";
import { UsageError } from "./usage-error.ts";

export const rotateKeyOptions: OptionSpecs = {
  overlap: { value: "SPAN", help: "rotate: how long old secrets go on working; default 24h" },
};

const options: OptionSpecs = {
  ...adminOptions,
  ...outputOption,
  ...rotateKeyOptions,
  reason: { value: "TEXT", help: "why, for the history" },
};

const schema = z.object({
  ...connectionShape,
  ...outputShape,
  overlap: z.string().default("24h"),
  reason: z.string().default(""),
});

/** `weir keys rotate`: prints the new secret, this once. */
export function rotateKey(args: readonly string[], env: Environment): Promise<number> {
  const { options: given, positionals } = readOptions(args, options, schema, env);
  const [name = "", ...rest] = positionals;
  if (rest.length > 0 || !keyKind.owns(name)) {
    throw new UsageError("which key? Write its full name, teams/{team}/keys/{key}");
  }
  const overlap = toDuration(parseSpan("overlap", given.overlap));
  return withAdmin("keys", given, async ({ admin }) => {
    const answer = await admin.rotateKey({ name, overlap, options: { reason: given.reason } });
    if (given.output === "json") {
      printJson(toJson(RotateKeyResponseSchema, answer));
      return 0;
    }
    for (const warning of answer.result?.warnings ?? []) printNote(`warning: ${warning}`);
    const message = `${name} has a new secret; the old ones work for ${given.overlap} more. It is not shown again:`;
    printSecret(message, answer.secret);
    return 0;
  });
}
