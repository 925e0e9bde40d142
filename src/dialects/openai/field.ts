import { MeshError } from "../../mesh/errors.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "../../mesh/json.ts";

/** A JSON object under construction. */
export type WireObject = { [name: string]: JsonValue | undefined };

/**
 * What may stand in a field: JSON, or nothing at all. OpenAI's clients send null for what is not
 * set.
 */
export type Field = JsonValue | undefined;

/** Throws INVALID_REQUEST: `field must be need`. */
export function refuseField(field: string, need: string): never {
  throw new MeshError("INVALID_REQUEST", `${field} must be ${need}.`, { field });
}

export function readString(value: Field, field: string): string | undefined {
  if (value === undefined || value === null) return undefined;
  return typeof value === "string" ? value : refuseField(field, "a string");
}

export function requireString(value: Field, field: string): string {
  return typeof value === "string" ? value : refuseField(field, "a string");
}

export function readBoolean(value: Field, field: string): boolean | undefined {
  if (value === undefined || value === null) return undefined;
  return typeof value === "boolean" ? value : refuseField(field, "true or false");
}

export function readNumber(value: Field, field: string): number | undefined {
  if (value === undefined || value === null) return undefined;
  return typeof value === "number" ? value : refuseField(field, "a number");
}

/** A whole number that fits 32 bits, as the protobuf message has it. */
export function readInteger(value: Field, field: string): number | undefined {
  const number = readNumber(value, field);
  if (number === undefined) return undefined;
  return (number | 0) === number ? number : refuseField(field, "a whole number of 32 bits");
}

/** Empty when the field is not set. */
export function readArray(value: Field, field: string): readonly JsonValue[] {
  if (value === undefined || value === null) return [];
  return isJsonArray(value) ? value : refuseField(field, "an array");
}

/** Strings in an array; empty when the field is not set. */
export function readStrings(value: Field, field: string): string[] {
  return readArray(value, field).map((item, at) => requireString(item, `${field}[${at}]`));
}

export function readObject(value: Field, field: string): JsonObject | undefined {
  if (value === undefined || value === null) return undefined;
  return isJsonObject(value) ? value : refuseField(field, "an object");
}

export function requireObject(value: Field, field: string): JsonObject {
  return isJsonObject(value) ? value : refuseField(field, "an object");
}

export function isJsonArray(value: Field): value is readonly JsonValue[] {
  return Array.isArray(value);
}

/**
 * JSON text of something that a caller sent. JSON.parse takes any depth and JSON.stringify does
 * not: a body of a hundred thousand brackets must be refused as the caller's fault, not end as
 * ours.
 */
export function writeJson(value: JsonValue | JsonObject, field: string): string {
  try {
    return JSON.stringify(value);
  } catch (cause) {
    const message = `${field} is nested too deeply. Send a flatter request.`;
    throw new MeshError("INVALID_REQUEST", message, { field, cause });
  }
}
