import { toJson } from "@bufbuild/protobuf";
import { z } from "zod";
import { UpdateKeyResponseSchema } from "../../gen/weir/admin/v1/admin_service_pb.ts";
import type { Environment } from "./command.ts";
import {
  adminOptions,
  connectionShape,
  outputOption,
  outputShape,
  withAdmin,
} from "./connection.ts";
import { print, printJson, printNote } from "./output.ts";
import { type OptionSpecs, readOptions } from "./read-options.ts";
import { keyKind } from "./resource-kinds.ts";
import { UsageError } from "./usage-error.ts";

const options: OptionSpecs = {
  ...adminOptions,
  ...outputOption,
  reason: { value: "TEXT", help: "why, for the history" },
};

const schema = z.object({ ...connectionShape, ...outputShape, reason: z.string().default("") });

/**
 * `weir keys revoke`: disables the key and says how many proxies know. Fails while one does not.
 */
export function revokeKey(args: readonly string[], env: Environment): Promise<number> {
  const { options: given, positionals } = readOptions(args, options, schema, env);
  const [name = "", ...rest] = positionals;
  if (rest.length > 0 || !keyKind.owns(name)) {
    throw new UsageError("which key? Write its full name, teams/{team}/keys/{key}");
  }
  return withAdmin("keys", given, async ({ admin }) => {
    const answer = await admin.updateKey({
      key: { name, disabled: true },
      updateMask: { paths: ["disabled"] },
      options: { reason: given.reason },
    });
    const { proxiesConfirmed = 0, proxiesConnected = 0 } = answer.result ?? {};
    if (given.output === "json") {
      printJson(toJson(UpdateKeyResponseSchema, answer));
    } else {
      print(
        `${name} is revoked; ${proxiesConfirmed} of ${proxiesConnected} connected proxies refuse it.`,
      );
    }
    if (proxiesConfirmed >= proxiesConnected) return 0;
    printNote("Some proxies have not confirmed yet: see `weir doctor`, and run this again.");
    return 1;
  });
}
