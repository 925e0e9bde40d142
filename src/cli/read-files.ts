import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { Failure } from "./failure.ts";
import { type ResourceDocument, readDocuments } from "./read-documents.ts";
import { readStandardInput } from "./standard-input.ts";

const FAULTS_SHOWN = 20;

/**
 * The documents of files, directories (with what is below, by name) and `-`, standard input. Throws
 * a Failure that names file and line of everything wrong; two documents of one name are wrong, too.
 */
export async function readFiles(paths: readonly string[]): Promise<ResourceDocument[]> {
  const documents: ResourceDocument[] = [];
  const faults: string[] = [];
  for (const path of paths.flatMap(listFiles)) {
    const text = path === "-" ? await readStandardInput() : readFileSync(path, "utf8");
    const read = readDocuments(text, path === "-" ? "standard input" : path);
    documents.push(...read.documents);
    faults.push(...read.faults);
  }
  faults.push(...listTwice(documents));
  if (faults.length > 0) throw new Failure(describeFaults(faults));
  if (documents.length === 0) throw new Failure(`there is no resource in ${paths.join(", ")}`);
  return documents;
}

function listFiles(path: string): string[] {
  if (path === "-" || !statSync(path).isDirectory()) return [path];
  return readdirSync(path, { recursive: true, encoding: "utf8" })
    .filter((name) => /\.(?:ya?ml|json)$/.test(name))
    .sort()
    .map((name) => join(path, name));
}

function listTwice(documents: readonly ResourceDocument[]): string[] {
  const places = new Map<string, string>();
  return documents.flatMap(({ name, place }) => {
    const before = places.get(name);
    places.set(name, place);
    return before === undefined ? [] : [`${place}: ${name} is in ${before} already`];
  });
}

function describeFaults(faults: readonly string[]): string {
  const shown = faults.slice(0, FAULTS_SHOWN).map((fault) => `\n  ${fault}`);
  const more = faults.length - shown.length;
  return `nothing was written, since this is wrong:${shown.join("")}${more > 0 ? `\n  and ${more} more` : ""}`;
}
