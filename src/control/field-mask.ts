import { type DescField, type DescMessage, equals, type Message } from "@bufbuild/protobuf";
import { type ReflectMessage, reflect } from "@bufbuild/protobuf/reflect";
import { MeshError } from "../mesh/errors.ts";

/** A field, by the way from the resource to it. */
export type FieldPath = readonly [DescField, ...DescField[]];

const PATHS_MAX = 100;

/**
 * The paths of a mask, in snake_case or lowerCamelCase; `*` is every field. What only the server
 * writes is left out, as AIP-203 has it. Throws INVALID_REQUEST for a path that the resource does
 * not have.
 */
export function parseMask(
  desc: DescMessage,
  paths: readonly string[],
  serverFields: ReadonlySet<string>,
): FieldPath[] {
  if (paths.length > PATHS_MAX) throw invalid(`at most ${PATHS_MAX} paths, not ${paths.length}`);
  const all = paths.length === 0 || paths.includes("*");
  const found = all
    ? desc.fields.map((field): FieldPath => [field])
    : paths.map((path) => parsePath(desc, path));
  return found.filter(([first]) => !serverFields.has(first.name));
}

/**
 * Copies what the paths lead to from one message into another; what is unset there becomes unset
 * here.
 */
export function copyPaths(
  desc: DescMessage,
  paths: readonly FieldPath[],
  messages: { readonly from: Message; readonly to: Message },
): void {
  for (const path of paths) {
    copyPath(reflect(desc, messages.from), reflect(desc, messages.to), path);
  }
}

/** Where two messages differ: the deepest fields, but lists, maps and oneofs as a whole. */
export function listDifferences(desc: DescMessage, a: Message, b: Message): FieldPath[] {
  return compare(reflect(desc, a), reflect(desc, b));
}

/** Whether one path leads to the other's field, or both write the same oneof. */
export function overlap(a: FieldPath, b: FieldPath): boolean {
  for (let depth = 0; depth < Math.min(a.length, b.length); depth++) {
    const [one, other] = [a[depth], b[depth]];
    if (one === other) continue;
    return one?.oneof !== undefined && one.oneof === other?.oneof;
  }
  return true;
}

/** A path as callers write it. */
export function formatPath(path: FieldPath): string {
  return path.map((field) => field.name).join(".");
}

function parsePath(desc: DescMessage, text: string): FieldPath {
  const fields: DescField[] = [];
  let at: DescMessage | undefined = desc;
  for (const part of text.split(".")) {
    const field: DescField | undefined = at?.fields.find(
      (each) => each.name === part || each.jsonName === part,
    );
    if (field === undefined) throw invalid(`${desc.name} has no field \`${text.slice(0, 100)}\``);
    fields.push(field);
    at = field.fieldKind === "message" ? field.message : undefined;
  }
  const [first, ...rest] = fields;
  if (first === undefined) throw invalid("a path is empty");
  return [first, ...rest];
}

function copyPath(from: ReflectMessage | undefined, to: ReflectMessage, path: FieldPath): void {
  const [field, next, ...rest] = path;
  const isThere = from?.isSet(field) === true;
  if (next === undefined || field.fieldKind !== "message") {
    if (from !== undefined && isThere) to.set(field, from.get(field));
    else to.clear(field);
    return;
  }
  if (!isThere && !to.isSet(field)) return;
  if (!to.isSet(field)) to.set(field, reflect(field.message));
  copyPath(isThere ? from?.get(field) : undefined, to.get(field), [next, ...rest]);
}

function compare(a: ReflectMessage, b: ReflectMessage): FieldPath[] {
  const paths: FieldPath[] = [];
  for (const field of a.desc.fields) {
    const [inA, inB] = [a.isSet(field), b.isSet(field)];
    if (!inA && !inB) continue;
    if (inA && inB && field.fieldKind === "message" && field.oneof === undefined) {
      for (const path of compare(a.get(field), b.get(field))) paths.push([field, ...path]);
    } else if (inA !== inB || !sameValue(a, b, field)) {
      paths.push([field]);
    }
  }
  return paths;
}

/** Two messages that have nothing but this field are equal when the field is. */
function sameValue(a: ReflectMessage, b: ReflectMessage, field: DescField): boolean {
  const [onlyA, onlyB] = [reflect(a.desc), reflect(b.desc)];
  onlyA.set(field, a.get(field));
  onlyB.set(field, b.get(field));
  return equals(a.desc, onlyA.message, onlyB.message);
}

function invalid(why: string): MeshError {
  return new MeshError("INVALID_REQUEST", `The update mask is wrong: ${why}.`, {
    field: "update_mask",
  });
}
