import type { JsonValue } from "@bufbuild/protobuf";
import type { ResourceDocument } from "./read-documents.ts";
import { resourceKinds } from "./resource-kinds.ts";

/** A document with the names of the same batch that it names. */
export interface OrderedDocument extends ResourceDocument {
  readonly needs: ReadonlySet<string>;
}

/**
 * The documents so that each stands behind those that it names: by kind, and within a kind by who
 * names whom. Circles are left as they are; the server refuses those that matter.
 */
export function orderDocuments(documents: readonly ResourceDocument[]): OrderedDocument[] {
  const names = new Map<string, string>();
  for (const { name } of documents) {
    names.set(name, name);
    // Models are named as clients ask for them.
    if (name.startsWith("models/")) names.set(name.slice("models/".length), name);
  }
  const withNeeds = documents.map((document): OrderedDocument => {
    const needs = new Set<string>();
    for (const text of walkStrings(document.json)) {
      const named = names.get(text);
      if (named !== undefined && named !== document.name) needs.add(named);
    }
    const team = /^(teams\/[^/]+)\//.exec(document.name)?.[1];
    if (team !== undefined && names.has(team)) needs.add(team);
    return { ...document, needs };
  });
  return sortByNeeds(withNeeds);
}

function sortByNeeds(documents: readonly OrderedDocument[]): OrderedDocument[] {
  const byName = new Map(documents.map((document) => [document.name, document]));
  const rank = ({ kind }: OrderedDocument): number => resourceKinds.indexOf(kind);
  const sorted: OrderedDocument[] = [];
  const seen = new Set<string>();
  const place = (document: OrderedDocument): void => {
    if (seen.has(document.name)) return;
    seen.add(document.name);
    for (const name of document.needs) {
      const needed = byName.get(name);
      if (needed !== undefined) place(needed);
    }
    sorted.push(document);
  };
  for (const document of [...documents].sort((a, b) => rank(a) - rank(b))) place(document);
  return sorted;
}

function* walkStrings(json: JsonValue): Generator<string, void, undefined> {
  if (typeof json === "string") yield json;
  else if (Array.isArray(json)) for (const each of json) yield* walkStrings(each);
  else if (typeof json === "object" && json !== null) {
    for (const each of Object.values(json)) yield* walkStrings(each);
  }
}
