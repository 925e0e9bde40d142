import type { DescMessage, JsonObject, JsonValue } from "@bufbuild/protobuf";
import {
  type Document,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type Pair,
  parseAllDocuments,
  visit,
} from "yaml";
import { listEnumWords } from "./enum-words.ts";
import type { ResourceKind } from "./resource-kind.ts";
import { findKind, listKindWords } from "./resource-kinds.ts";

/** A resource as somebody wrote it. */
export interface ResourceDocument {
  readonly kind: ResourceKind;
  /** Its full name. */
  readonly name: string;
  /** Its protobuf JSON, with the full name and without `kind`. */
  readonly json: JsonObject;
  /** Where it begins, `FILE:LINE`. */
  readonly place: string;
}

/** What a text holds, and what is wrong with it: a fault each, `FILE:LINE: …`. */
export interface ReadDocuments {
  readonly documents: ResourceDocument[];
  readonly faults: string[];
}

/** Reads YAML or JSON: several documents, lists of documents, or `{items: […]}`, in any mixture. */
export function readDocuments(text: string, file: string): ReadDocuments {
  const lines = new LineCounter();
  const read: ReadDocuments = { documents: [], faults: [] };
  const page: Page = { file, lines, read };
  for (const document of parseYaml(page, text)) {
    const [error] = document.errors;
    if (error === undefined) readNode(page, document, document.contents);
    else read.faults.push(`${file}:${lines.linePos(error.pos[0]).line}: ${error.message}`);
  }
  return read;
}

/** A file while it is read. */
interface Page {
  readonly file: string;
  readonly lines: LineCounter;
  readonly read: ReadDocuments;
}

function parseYaml({ file, lines, read }: Page, text: string): Document[] {
  try {
    return [...parseAllDocuments(text, { lineCounter: lines, prettyErrors: false, merge: true })];
  } catch (error) {
    // The parser calls itself for each level.
    if (!(error instanceof RangeError)) throw error;
    read.faults.push(`${file}:1: it is nested too deeply`);
    return [];
  }
}

function readNode(page: Page, document: Document, node: Node | null): void {
  if (node === null || (isScalar(node) && node.value === null)) return;
  if (isSeq<Node>(node)) {
    for (const item of node.items) readNode(page, document, item);
    return;
  }
  const items = isMap(node) && !node.has("name") ? node.get("items") : undefined;
  if (isSeq<Node>(items)) {
    for (const item of items.items) readNode(page, document, item);
    return;
  }
  readResource(page, document, node);
}

function readResource(page: Page, document: Document, node: Node): void {
  const place = placeOf(page, node);
  try {
    page.read.documents.push({ ...parseResource(document, node), place });
  } catch (thrown) {
    if (!(thrown instanceof Misfit)) throw thrown;
    const at = thrown.find?.(node);
    page.read.faults.push(`${at === undefined ? place : placeOf(page, at)}: ${thrown.message}`);
  }
}

/** What is wrong with a document, and where in it. */
class Misfit extends Error {
  readonly find: ((node: Node) => Node | undefined) | undefined;

  constructor(message: string, find?: (node: Node) => Node | undefined) {
    super(message);
    this.find = find;
  }
}

function parseResource(document: Document, node: Node): Omit<ResourceDocument, "place"> {
  const json = toJson(document, node);
  if (!isObject(json))
    throw new Misfit("a resource is a mapping of fields, with `kind` and `name`");
  const { kind: word, name, ...fields } = json;
  if (word === undefined) throw new Misfit(`\`kind\` is missing: one of ${listKindWords()}`);
  const kind = typeof word === "string" ? findKind(word) : undefined;
  if (kind === undefined) {
    const text = `there is no kind ${JSON.stringify(word)}: one of ${listKindWords()}`;
    throw new Misfit(text, atKey("kind"));
  }
  if (typeof name !== "string" || name === "") {
    throw new Misfit(`\`name\` is missing: ${kind.form}`, atKey("name"));
  }
  const full = kind.expand(name);
  if (full === undefined) {
    throw new Misfit(`"${name}" is no name of a ${kind.word}: write ${kind.form}`, atKey("name"));
  }
  const named = { name: full, ...fields };
  try {
    kind.parse(named);
  } catch (error) {
    throw explain(error, kind.schema);
  }
  return { kind, name: full, json: named };
}

/** The protobuf library's error in fewer words, and the key that it is about. */
function explain(error: unknown, schema: DescMessage): Misfit {
  const text = error instanceof Error ? error.message : String(error);
  const unknown = /^cannot decode message (\S+) from JSON: key "(.*)" is unknown$/.exec(text);
  if (unknown !== null) {
    const [, type = "", key = ""] = unknown;
    return new Misfit(`${shortName(type)} has no field \`${key}\``, atKey(key));
  }
  const field = /^cannot decode (?:field|oneof) (\S+) from JSON: ([\s\S]*)$/.exec(text);
  if (field !== null) {
    const [, path = "", what = ""] = field;
    return new Misfit(`\`${shortName(path)}\`: ${what}`, atKey(shortName(path)));
  }
  const value = /^cannot decode (?:enum|message) (\S+) from JSON: ([\s\S]*)$/.exec(text);
  if (value === null) return new Misfit(text);
  const [, type = "", what = ""] = value;
  if (type === "google.protobuf.Timestamp") {
    return new Misfit("a time is written like 2026-01-31T12:00:00Z", atWrongTime);
  }
  const words = listEnumWords(schema, type);
  const advice = words.length === 0 ? "" : `: one of ${words.join(", ")}`;
  return new Misfit(`${what} is no ${shortName(type)}${advice}`, atValue(what));
}

function shortName(path: string): string {
  return path.slice(path.lastIndexOf(".") + 1);
}

/** Finds the first key of this name, in either spelling, at any depth. */
function atKey(key: string): (node: Node) => Node | undefined {
  const fold = (text: string): string => text.replaceAll("_", "").toLowerCase();
  return (node) => findPair(node, (pair) => fold(String(pair.key)) === fold(key));
}

/** Finds the first key with this value, written as JSON. */
function atValue(json: string): (node: Node) => Node | undefined {
  return (node) =>
    findPair(node, ({ value }) => isScalar(value) && JSON.stringify(value.value) === json);
}

/** Finds the first key of a time whose value is none. */
function atWrongTime(node: Node): Node | undefined {
  return findPair(node, ({ key, value }) => {
    if (!/time$/i.test(String(key)) || !isScalar(value)) return false;
    return !/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)$/.test(
      String(value.value),
    );
  });
}

function findPair(node: Node, isWanted: (pair: Pair) => boolean): Node | undefined {
  let found: Node | undefined;
  visit(node, {
    Pair: (_, pair) => {
      if (!isScalar(pair.key) || !isWanted(pair)) return undefined;
      found = pair.key;
      return visit.BREAK;
    },
  });
  return found;
}

function placeOf({ file, lines }: Page, node: Node): string {
  return `${file}:${lines.linePos(node.range?.[0] ?? 0).line}`;
}

/** Throws a Misfit for what is no mapping, and for anchors that lead nowhere or multiply. */
function toJson(document: Document, node: Node): unknown {
  try {
    return isMap(node) ? node.toJS(document) : undefined;
  } catch (error) {
    throw new Misfit(error instanceof Error ? error.message : String(error));
  }
}

/**
 * What YAML's core schema makes is JSON, apart from numbers that JSON has not; the protobuf library
 * refuses those.
 */
function isObject(value: unknown): value is { [key: string]: JsonValue } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
