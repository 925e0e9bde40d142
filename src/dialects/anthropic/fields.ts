import { MeshError } from "../../mesh/errors.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "../../mesh/json.ts";

/** An INVALID_REQUEST that names the field at fault by its path in the caller's body. */
export function refuseField(path: string, complaint: string): MeshError {
  return new MeshError("INVALID_REQUEST", `${path}: ${complaint}`, { field: path });
}

/**
 * The value as JSON text. Reading JSON takes any depth and writing it does not, so a body of a
 * hundred thousand brackets ends here: as a fault of the caller's, not of ours.
 */
export function encodeJson(value: unknown, path: string): string {
  try {
    return JSON.stringify(value);
  } catch {
    throw refuseField(path, "is nested too deeply");
  }
}

/** The value as a string. Throws INVALID_REQUEST naming `path`. */
export function parseString(value: JsonValue | undefined, path: string): string {
  if (typeof value === "string") return value;
  throw refuseField(path, value === undefined ? "is required" : "must be a string");
}

/** The value as a string, "" when it is absent or null. */
export function parseOptionalString(value: JsonValue | undefined, path: string): string {
  return value === undefined || value === null ? "" : parseString(value, path);
}

export function parseObject(value: JsonValue | undefined, path: string): JsonObject {
  if (isJsonObject(value)) return value;
  throw refuseField(path, value === undefined ? "is required" : "must be an object");
}

export function parseArray(value: JsonValue | undefined, path: string): readonly JsonValue[] {
  if (Array.isArray(value)) return value;
  throw refuseField(path, value === undefined ? "is required" : "must be an array");
}

export function parseStrings(value: JsonValue | undefined, path: string): string[] {
  return parseArray(value, path).map((item, index) => parseString(item, `${path}[${index}]`));
}

/** The value as a boolean, undefined when it is absent or null. */
export function parseOptionalBoolean(
  value: JsonValue | undefined,
  path: string,
): boolean | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value === "boolean") return value;
  throw refuseField(path, "must be true or false");
}

/** The value as a finite number, undefined when it is absent or null. */
export function parseOptionalNumber(
  value: JsonValue | undefined,
  path: string,
): number | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value === "number" && Number.isFinite(value)) return value;
  throw refuseField(path, "must be a number");
}

/** The value as an int32 of at least `min`, undefined when it is absent or null. */
export function parseOptionalInt(
  value: JsonValue | undefined,
  path: string,
  min: number,
): number | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value === "number" && Number.isInteger(value)) {
    if (value >= min && value <= 0x7fffffff) return value;
  }
  throw refuseField(path, `must be a whole number of at least ${min}`);
}
