import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import {
  type Document,
  isMap,
  isPair,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseAllDocuments,
  visit,
} from "yaml";
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
  for (const document of parseAllDocuments(text, { lineCounter: lines, prettyErrors: false })) {
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
    const at = thrown.key === undefined ? undefined : findKey(node, thrown.key);
    page.read.faults.push(`${at === undefined ? place : placeOf(page, at)}: ${thrown.message}`);
  }
}

/** What is wrong with a document, and the key where. */
class Misfit extends Error {
  readonly key: string | undefined;

  constructor(message: string, key?: string) {
    super(message);
    this.key = key;
  }
}

function parseResource(document: Document, node: Node): Omit<ResourceDocument, "place"> {
  const json: unknown = isMap(node) ? node.toJS(document) : undefined;
  if (!isObject(json))
    throw new Misfit("a resource is a mapping of fields, with `kind` and `name`");
  const { kind: word, name, ...fields } = json;
  if (word === undefined) throw new Misfit(`\`kind\` is missing: one of ${listKindWords()}`);
  const kind = typeof word === "string" ? findKind(word) : undefined;
  if (kind === undefined) {
    const text = `there is no kind ${JSON.stringify(word)}: one of ${listKindWords()}`;
    throw new Misfit(text, "kind");
  }
  if (typeof name !== "string" || name === "") {
    throw new Misfit(`\`name\` is missing: ${kind.form}`, "name");
  }
  const full = kind.expand(name);
  if (full === undefined) {
    throw new Misfit(`"${name}" is no name of a ${kind.word}: write ${kind.form}`, "name");
  }
  const named = { name: full, ...fields };
  try {
    kind.parse(named);
  } catch (error) {
    throw explain(error);
  }
  return { kind, name: full, json: named };
}

/** The protobuf library's error in fewer words, and the key that it is about. */
function explain(error: unknown): Misfit {
  const text = error instanceof Error ? error.message : String(error);
  const unknown = /^cannot decode message (\S+) from JSON: key "(.*)" is unknown$/.exec(text);
  if (unknown !== null) {
    const [, type = "", key = ""] = unknown;
    return new Misfit(`${shortName(type)} has no field \`${key}\``, key);
  }
  const field = /^cannot decode (?:field|oneof) (\S+) from JSON: ([\s\S]*)$/.exec(text);
  if (field === null) {
    return new Misfit(text.replace(/^cannot decode (?:message )?/, "cannot read "));
  }
  const [, path = "", what = ""] = field;
  return new Misfit(`\`${shortName(path)}\`: ${what}`, shortName(path));
}

function shortName(path: string): string {
  return path.slice(path.lastIndexOf(".") + 1);
}

/** The node of the first key of this name, in either spelling, at any depth. */
function findKey(node: Node, key: string): Node | undefined {
  const wanted = key.replaceAll("_", "").toLowerCase();
  let found: Node | undefined;
  visit(node, {
    Pair: (_, pair) => {
      if (!isPair(pair) || !isScalar(pair.key)) return undefined;
      if (String(pair.key.value).replaceAll("_", "").toLowerCase() !== wanted) return undefined;
      found = pair.key;
      return visit.BREAK;
    },
  });
  return found;
}

function placeOf({ file, lines }: Page, node: Node): string {
  return `${file}:${lines.linePos(node.range?.[0] ?? 0).line}`;
}

/** What YAML's core schema makes is JSON, apart from numbers that JSON has not; the protobuf library refuses those. */
function isObject(value: unknown): value is { [key: string]: JsonValue } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
