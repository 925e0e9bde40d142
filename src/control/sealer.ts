import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import { chmodSync, existsSync, linkSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { MeshError } from "../mesh/errors.ts";

/** Seals secrets for the store, each bound to the resource that it belongs to. */
export interface Sealer {
  /** The secret, sealed; the same secret never looks the same twice. */
  seal(name: string, plaintext: string): Uint8Array;
  /**
   * Throws FAILED_PRECONDITION when another key sealed it, or it was sealed for another resource,
   * or was changed.
   */
  open(name: string, sealed: Uint8Array): string;
}

/** Version, nonce, tag. */
const VERSION = 1;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const HEAD_BYTES = 1 + NONCE_BYTES + TAG_BYTES;
const KEY_BYTES = 32;

/** AES-256-GCM with the resource's name as associated data. `key` has 32 bytes. */
export function createSealer(key: Uint8Array): Sealer {
  if (key.length !== KEY_BYTES) throw new Error(`A sealing key has ${KEY_BYTES} bytes.`);
  return {
    seal(name, plaintext) {
      const nonce = randomBytes(NONCE_BYTES);
      const cipher = createCipheriv("aes-256-gcm", key, nonce);
      cipher.setAAD(Buffer.from(name));
      const body = Buffer.concat([cipher.update(plaintext, "utf8"), cipher.final()]);
      return Buffer.concat([Buffer.of(VERSION), nonce, cipher.getAuthTag(), body]);
    },
    open(name, sealed) {
      if (sealed.length < HEAD_BYTES || sealed[0] !== VERSION) throw createUnreadable(name);
      const nonce = sealed.subarray(1, 1 + NONCE_BYTES);
      const decipher = createDecipheriv("aes-256-gcm", key, nonce, { authTagLength: TAG_BYTES });
      decipher.setAAD(Buffer.from(name));
      decipher.setAuthTag(sealed.subarray(1 + NONCE_BYTES, HEAD_BYTES));
      try {
        const body = decipher.update(sealed.subarray(HEAD_BYTES));
        return Buffer.concat([body, decipher.final()]).toString("utf8");
      } catch (cause) {
        throw createUnreadable(name, cause);
      }
    },
  };
}

/**
 * The sealing key: `WEIR_SECRET_KEY` when it is given (32 bytes in hexadecimal or base64), else the
 * file `secret.key` in the data directory, made with mode 0600 when there is none. Throws
 * FAILED_PRECONDITION that says what to mend.
 */
export function loadSecretKey(given: string | undefined, dataDir: string): Uint8Array {
  if (given !== undefined && given !== "") return parseSecretKey(given, "WEIR_SECRET_KEY");
  const path = join(dataDir, "secret.key");
  if (!existsSync(path)) makeKeyFile(path);
  return parseSecretKey(readFileSync(path, "utf8"), path);
}

function parseSecretKey(text: string, where: string): Uint8Array {
  const trimmed = text.trim();
  const key = /^[0-9a-f]{64}$/i.test(trimmed)
    ? Buffer.from(trimmed, "hex")
    : Buffer.from(trimmed, "base64");
  if (key.length !== KEY_BYTES || !/^[A-Za-z0-9+/_=-]+$/.test(trimmed)) {
    throw new MeshError(
      "FAILED_PRECONDITION",
      `${where} must hold ${KEY_BYTES} bytes in hexadecimal or base64: \`openssl rand -hex 32\`.`,
    );
  }
  return key;
}

/** Written aside and linked into place, so that two processes starting at once agree on one key. */
function makeKeyFile(path: string): void {
  const aside = `${path}.${process.pid}`;
  writeFileSync(aside, `${randomBytes(KEY_BYTES).toString("hex")}\n`, { mode: 0o600, flush: true });
  chmodSync(aside, 0o600);
  try {
    linkSync(aside, path);
  } catch (error) {
    if (!existsSync(path)) throw error;
  } finally {
    rmSync(aside, { force: true });
  }
}

function createUnreadable(name: string, cause?: unknown): MeshError {
  return new MeshError(
    "FAILED_PRECONDITION",
    `The secret of ${name} was sealed with another key. Start with the WEIR_SECRET_KEY or the ` +
      "secret.key file that " +
      "sealed it, or write the credential again.",
    cause === undefined ? {} : { cause },
  );
}
