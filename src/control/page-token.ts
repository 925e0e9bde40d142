import { hash } from "node:crypto";
import { MeshError } from "../mesh/errors.ts";

/** What a page token belongs to: it serves only the question that it was given for. */
export type TokenScope = readonly unknown[];

/** Where to go on, for the caller to send back. */
export function createPageToken(scope: TokenScope, position: string): string {
  return Buffer.from(JSON.stringify([digest(scope), position])).toString("base64url");
}

/** The position in a token; empty at the beginning. Throws INVALID_REQUEST for any other token. */
export function readPageToken(scope: TokenScope, token: string): string {
  if (token === "") return "";
  let parsed: unknown;
  try {
    parsed = JSON.parse(Buffer.from(token.slice(0, 2000), "base64url").toString("utf8"));
  } catch {
    throw createInvalid();
  }
  if (!Array.isArray(parsed) || parsed.length !== 2 || parsed[0] !== digest(scope)) {
    throw createInvalid();
  }
  const position: unknown = parsed[1];
  if (typeof position !== "string" || position === "") throw createInvalid();
  return position;
}

/** The position in a token, as a whole number above 0; 0 at the beginning. */
export function readNumberedToken(scope: TokenScope, token: string): number {
  const position = Number(readPageToken(scope, token));
  if (!Number.isSafeInteger(position) || position < 0) throw createInvalid();
  return position;
}

/** How many to return: 0 means the default. Throws INVALID_REQUEST beyond the range. */
export function readPageSize(
  size: number,
  range: { readonly max: number; readonly default: number },
): number {
  if (size === 0) return range.default;
  if (size >= 1 && size <= range.max) return size;
  throw new MeshError("INVALID_REQUEST", `A page has 1 to ${range.max} entries.`, {
    field: "page_size",
  });
}

function digest(scope: TokenScope): string {
  return hash("sha256", JSON.stringify(scope), "base64url").slice(0, 12);
}

function createInvalid(): MeshError {
  return new MeshError(
    "INVALID_REQUEST",
    "The page token is not one of this list with these filters. Begin again without it.",
    { field: "page_token" },
  );
}
