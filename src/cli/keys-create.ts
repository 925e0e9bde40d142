import { toJson } from "@bufbuild/protobuf";
import { z } from "zod";
import { CreateKeyResponseSchema } from "../../gen/weir/admin/v1/admin_service_pb.ts";
import { Role } from "../../gen/weir/admin/v1/team_pb.ts";
import { systemClock } from "../mesh/clock.ts";
import type { Environment } from "./command.ts";
import {
  adminOptions,
  connectionShape,
  outputOption,
  outputShape,
  withAdmin,
} from "./connection.ts";
import { printSecret } from "./key-secret-output.ts";
import { readLabels } from "./labels.ts";
import { printJson, printNote } from "./output.ts";
import { parseMoment, toTimestamp } from "./quantities.ts";
import { type OptionSpecs, readOptions } from "./read-options.ts";
import { keyKind } from "./resource-kinds.ts";
import { listRoleWords, parseRole } from "./role-words.ts";
import { UsageError } from "./usage-error.ts";

export const createKeyOptions: OptionSpecs = {
  ...outputOption,
  user: { value: "USER", help: "create: the person that it belongs to; default: a service" },
  expires: {
    value: "TIME",
    help: "create: when it ends, such as 30d or 2027-01-31; default never",
  },
  models: { value: "A,B", help: "create: the only models it may use, of those that policy allows" },
  label: { value: "K=V", help: "create: a label for each request; several times", multiple: true },
  "admin-role": { value: "ROLE", help: `create: an administrative key: ${listRoleWords()}` },
  "display-name": { value: "TEXT", help: "create: a name for people" },
  reason: { value: "TEXT", help: "why, for the history" },
};

const options: OptionSpecs = { ...adminOptions, ...createKeyOptions };

const schema = z.object({
  ...connectionShape,
  ...outputShape,
  user: z.string().min(1).optional(),
  expires: z.string().optional(),
  models: z.string().optional(),
  label: z.array(z.string()).default([]),
  "admin-role": z.string().optional(),
  "display-name": z.string().default(""),
  reason: z.string().default(""),
});

/** `weir keys create`: prints the secret, this once. */
export function createKey(args: readonly string[], env: Environment): Promise<number> {
  const { options: given, positionals } = readOptions(args, options, schema, env);
  const name = readKeyName(positionals);
  const nowMs = systemClock.wallMs();
  const key = {
    name,
    displayName: given["display-name"],
    user: given.user === undefined ? "" : given.user.replace(/^(?!users\/)/, "users/"),
    adminRole: readRole(given["admin-role"]),
    allowedModels: splitList(given.models),
    labels: readLabels("label", given.label),
    ...(given.expires === undefined
      ? {}
      : { expireTime: toTimestamp(parseMoment("expires", given.expires, { nowMs, after: true })) }),
  };
  return withAdmin("keys", given, async ({ admin }) => {
    const { reason } = given;
    const answer = await admin.createKey({ key, options: { reason } });
    if (given.output === "json") {
      printJson(toJson(CreateKeyResponseSchema, answer));
      return 0;
    }
    for (const warning of answer.result?.warnings ?? []) printNote(`warning: ${warning}`);
    printSecret(`${name} is created. This is its secret; it is not shown again:`, answer.secret);
    return 0;
  });
}

/** `TEAM NAME` or the full name. */
function readKeyName(words: readonly string[]): string {
  const [first = "", second, ...rest] = words;
  const full =
    second === undefined ? first : `${first.replace(/^(?!teams\/)/, "teams/")}/keys/${second}`;
  if (rest.length === 0 && keyKind.owns(full)) return full;
  throw new UsageError("write `weir keys create TEAM NAME`, such as `weir keys create search ci`");
}

function readRole(word: string | undefined): Role {
  if (word === undefined) return Role.UNSPECIFIED;
  const role = parseRole(word);
  if (role !== undefined) return role;
  throw new UsageError(`--admin-role: "${word}" is no role: write ${listRoleWords()}`);
}

function splitList(text: string | undefined): string[] {
  if (text === undefined) return [];
  const names = text.split(",").map((each) => each.trim());
  if (names.some((each) => each === "")) {
    throw new UsageError("--models: write names with commas between them");
  }
  return names;
}
