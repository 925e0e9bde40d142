import { hash, randomBytes } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { type KeySecret, KeySecretSchema } from "../../gen/weir/admin/v1/team_pb.ts";
import { MeshError } from "../mesh/errors.ts";
import { createTimestamp } from "../mesh/record.ts";

/** A secret that was just made: the only moment at which its text exists here. */
export interface NewSecret {
  readonly text: string;
  readonly sha256Hex: string;
  readonly stored: KeySecret;
}

const SECRET_LENGTH_MAX = 512;
const PREFIX_LENGTH = 10;

/**
 * A new secret: the one that was given, or `wk_` and 256 random bits. Throws INVALID_REQUEST for a
 * weak one.
 */
export function createKeySecret(given: string, wallMs: number): NewSecret {
  const text = given === "" ? `wk_${randomBytes(32).toString("base64url")}` : given;
  assertStrong(text);
  const sha256Hex = hashSecret(text);
  const stored = create(KeySecretSchema, {
    prefix: text.slice(0, PREFIX_LENGTH),
    sha256: Buffer.from(sha256Hex, "hex"),
    createTime: createTimestamp(wallMs),
  });
  return { text, sha256Hex, stored };
}

/** SHA-256 of a secret in hexadecimal: what the store finds a key by. */
export function hashSecret(text: string): string {
  return hash("sha256", text, "hex");
}

function assertStrong(text: string): void {
  if (text.length <= SECRET_LENGTH_MAX && /^wk_[A-Za-z0-9_-]{32,}$/.test(text)) return;
  throw new MeshError(
    "INVALID_REQUEST",
    `The secret must be \`wk_\` and at least 32 of A-Z, a-z, 0-9, - and _, at most ` +
      `${SECRET_LENGTH_MAX} characters ` +
      "in all. Leave it empty to have one made.",
    { field: "secret" },
  );
}
