import type { Command } from "./command.ts";
import { adminOptions } from "./connection.ts";
import { createKey, createKeyOptions } from "./keys-create.ts";
import { revokeKey } from "./keys-revoke.ts";
import { rotateKey, rotateKeyOptions } from "./keys-rotate.ts";
import { UsageError } from "./usage-error.ts";

/** `weir keys`: the secrets of keys; everything else about keys is for get, apply and delete. */
export const command: Command = {
  name: "keys",
  summary: "Create a key, give it a new secret, or revoke it.",
  synopsis: `create TEAM NAME [OPTION…]
       weir keys rotate KEY [--overlap 24h]
       weir keys revoke KEY`,
  options: { ...adminOptions, ...createKeyOptions, ...rotateKeyOptions },
  run: ([action, ...args], env) => {
    switch (action) {
      case "create":
        return createKey(args, env);
      case "rotate":
        return rotateKey(args, env);
      case "revoke":
        return revokeKey(args, env);
      default:
        throw new UsageError("write create, rotate or revoke after `weir keys`");
    }
  },
};
