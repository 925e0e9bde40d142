import { isJsonObject, type JsonObject, type JsonValue } from "../mesh/json.ts";
import type { Random } from "../mesh/random.ts";
import { pickWord } from "./prose.ts";

/** Nesting beyond which optional things are left out, so that recursive schemas end. */
const DEPTH_SOFT = 6;
/** Nesting beyond which a schema that demands itself is given up. */
const DEPTH_HARD = 64;

/**
 * A value that a JSON Schema accepts, drawn by `random`. It follows type, enum, const, required,
 * properties, items, prefixItems, the bounds of numbers, strings and arrays, usual formats, $ref
 * within the schema, allOf and the first branch of anyOf and oneOf that ends. A `pattern` is beyond
 * it.
 */
export function createValue(schema: JsonValue | undefined, random: Random): JsonValue {
  const root = isJsonObject(schema) ? schema : {};
  const value = new SchemaWalk(root, random).value(root, 0);
  return value === undefined ? {} : value;
}

/** One walk through one schema. Methods return undefined where a branch cannot come to an end. */
class SchemaWalk {
  readonly #root: JsonObject;
  readonly #random: Random;

  constructor(root: JsonObject, random: Random) {
    this.#root = root;
    this.#random = random;
  }

  value(schema: JsonValue | undefined, depth: number): JsonValue | undefined {
    if (depth > DEPTH_HARD) return undefined;
    if (!isJsonObject(schema)) return pickWord(this.#random);
    const target = this.#resolve(schema);
    if (target.const !== undefined) return target.const;
    if (Array.isArray(target.enum) && target.enum.length > 0) return this.#pick(target.enum);
    const branches = target.anyOf ?? target.oneOf;
    if (Array.isArray(branches)) return this.#branch(target, branches, depth);
    return this.#typed(target, depth);
  }

  #typed(schema: JsonObject, depth: number): JsonValue | undefined {
    switch (findType(schema)) {
      case "object":
        return this.#object(schema, depth);
      case "array":
        return this.#array(schema, depth);
      case "number":
        return this.#number(schema, false);
      case "integer":
        return this.#number(schema, true);
      case "boolean":
        return this.#random.unit() < 0.5;
      case "null":
        return null;
      default:
        return this.#string(schema);
    }
  }

  /** Follows references and merges allOf, so that the rest sees one plain schema. */
  #resolve(schema: JsonObject): JsonObject {
    let current = schema;
    for (let hops = 0; typeof current.$ref === "string" && hops < DEPTH_HARD; hops++) {
      const { $ref: reference, ...beside } = current;
      current = { ...this.#lookUp(reference), ...beside };
    }
    if (!Array.isArray(current.allOf)) return current;
    const { allOf, ...own } = current;
    let merged: JsonObject = own;
    for (const part of allOf) {
      if (isJsonObject(part)) merged = merge(merged, this.#resolve(part));
    }
    return merged;
  }

  #lookUp(reference: string): JsonObject {
    let at: JsonValue | undefined = this.#root;
    for (const step of reference.replace(/^#\/?/, "").split("/")) {
      if (step === "") continue;
      const name = decodeURIComponent(step).replaceAll("~1", "/").replaceAll("~0", "~");
      if (Array.isArray(at)) at = at[Number(name)];
      else at = isJsonObject(at) ? at[name] : undefined;
    }
    return isJsonObject(at) ? at : {};
  }

  /** The first branch that ends; deep down the shortest way out comes first. */
  #branch(
    schema: JsonObject,
    branches: readonly JsonValue[],
    depth: number,
  ): JsonValue | undefined {
    const { anyOf, oneOf, ...beside } = schema;
    const ordered = depth < DEPTH_SOFT ? branches : branches.toSorted(compareReach);
    for (const branch of ordered) {
      const whole = isJsonObject(branch) ? merge(beside, this.#resolve(branch)) : beside;
      const value = this.value(whole, depth + 1);
      if (value !== undefined) return value;
    }
    return undefined;
  }

  #object(schema: JsonObject, depth: number): JsonValue | undefined {
    const properties = isJsonObject(schema.properties) ? schema.properties : {};
    const required = new Set(Array.isArray(schema.required) ? schema.required : []);
    const result: Record<string, JsonValue> = {};
    for (const [name, property] of Object.entries(properties)) {
      const needed = required.has(name);
      if (!needed && depth >= DEPTH_SOFT) continue;
      const value = this.value(property, depth + 1);
      if (value !== undefined) result[name] = value;
      else if (needed) return undefined;
    }
    const others = schema.additionalProperties;
    for (const name of required) {
      if (typeof name !== "string" || name in result) continue;
      const value = this.value(isJsonObject(others) ? others : {}, depth + 1);
      if (value === undefined) return undefined;
      result[name] = value;
    }
    const least = readNumber(schema.minProperties) ?? 0;
    for (let i = 1; Object.keys(result).length < least; i++) {
      result[`extra_${i}`] = this.value(isJsonObject(others) ? others : {}, depth + 1) ?? null;
    }
    return result;
  }

  #array(schema: JsonObject, depth: number): JsonValue | undefined {
    const first = Array.isArray(schema.prefixItems) ? schema.prefixItems : [];
    const least = readNumber(schema.minItems) ?? 0;
    const most = readNumber(schema.maxItems) ?? Number.POSITIVE_INFINITY;
    const wanted = depth >= DEPTH_SOFT ? least : Math.max(least, Math.min(first.length || 2, most));
    const result: JsonValue[] = [];
    const seen = new Set<string>();
    for (let tries = 0; result.length < wanted && tries < wanted * 20; tries++) {
      const item = this.value(first[result.length] ?? schema.items ?? {}, depth + 1);
      if (item === undefined) break;
      const text = JSON.stringify(item);
      if (schema.uniqueItems === true && seen.has(text)) continue;
      seen.add(text);
      result.push(item);
    }
    return result.length < least ? undefined : result;
  }

  #number(schema: JsonObject, whole: boolean): number {
    const step = readNumber(schema.multipleOf) ?? (whole ? 1 : 0.25);
    const above = readNumber(schema.exclusiveMinimum);
    const below = readNumber(schema.exclusiveMaximum);
    const least = above === undefined ? readNumber(schema.minimum) : above + step / 2;
    const most = below === undefined ? readNumber(schema.maximum) : below - step / 2;
    const low = Math.ceil((least ?? Math.min(0, most ?? 0)) / step);
    const high = most === undefined ? low + 100 : Math.floor(most / step);
    // A range without a multiple of the step is one between two quarters: its middle will do.
    if (high < low) return ((least ?? 0) + (most ?? 0)) / 2;
    return (low + Math.floor(this.#random.unit() * (high - low + 1))) * step;
  }

  #string(schema: JsonObject): string {
    const format = typeof schema.format === "string" ? FORMATS.get(schema.format) : undefined;
    if (format !== undefined) return format;
    const least = readNumber(schema.minLength) ?? 0;
    const most = readNumber(schema.maxLength) ?? Number.POSITIVE_INFINITY;
    let text = pickWord(this.#random);
    while (text.length < least) text += ` ${pickWord(this.#random)}`;
    return text.slice(0, Math.max(least, Math.min(text.length, most)));
  }

  #pick(values: readonly JsonValue[]): JsonValue {
    return values[Math.floor(this.#random.unit() * values.length)] ?? null;
  }
}

const FORMATS = new Map([
  ["date-time", "2026-01-02T03:04:05Z"],
  ["date", "2026-01-02"],
  ["time", "03:04:05Z"],
  ["duration", "PT5M"],
  ["email", "keeper@weir.example"],
  ["hostname", "weir.example"],
  ["ipv4", "192.0.2.1"],
  ["ipv6", "2001:db8::1"],
  ["uri", "https://weir.example/gate"],
  ["uuid", "6f1d2c3b-4a59-4e68-8777-869584a3b2c1"],
]);

function findType(schema: JsonObject): string {
  const type = schema.type;
  if (typeof type === "string") return type;
  if (Array.isArray(type)) {
    return String(type.find((name) => name !== "null") ?? "null");
  }
  if (schema.properties !== undefined || schema.required !== undefined) return "object";
  if (schema.items !== undefined || schema.prefixItems !== undefined) return "array";
  if (schema.minimum !== undefined || schema.maximum !== undefined) return "number";
  return "string";
}

/** Schemas that end at once come before those that lead on. */
function compareReach(a: JsonValue, b: JsonValue): number {
  return reach(a) - reach(b);
}

function reach(schema: JsonValue): number {
  if (!isJsonObject(schema) || schema.type === "null") return 0;
  return schema.$ref !== undefined || schema.properties !== undefined ? 2 : 1;
}

function merge(a: JsonObject, b: JsonObject): JsonObject {
  const merged: Record<string, JsonValue | undefined> = { ...a, ...b };
  if (isJsonObject(a.properties) && isJsonObject(b.properties)) {
    merged.properties = { ...a.properties, ...b.properties };
  }
  if (Array.isArray(a.required) && Array.isArray(b.required)) {
    merged.required = [...a.required, ...b.required];
  }
  return merged;
}

function readNumber(value: JsonValue | undefined): number | undefined {
  return typeof value === "number" ? value : undefined;
}
