import { readFileSync, symlinkSync } from "node:fs";
import { delimiter, join, resolve } from "node:path";
import { buildBy } from "./bounded.ts";

/** Languages whose clients the README says how to generate. */
export type Language = "Go" | "Python" | "Java";

/**
 * Generates a client into `workplace` by the very line that the README gives, with the tools of
 * `path` found first. Throws when the README has no such line, or when it does not work.
 */
export async function generateByReadme(
  language: Language,
  workplace: string,
  path: readonly string[],
): Promise<void> {
  symlinkSync(resolve("proto"), join(workplace, "proto"), "junction");
  await buildBy(["sh", "-c", findLine(language)], {
    cwd: workplace,
    env: { PATH: [...path, process.env.PATH ?? ""].join(delimiter) },
  });
}

/** The command under the comment that names the language. */
function findLine(language: Language): string {
  const readme = readFileSync("README.md", "utf8");
  const found = new RegExp(`^# ${language}\\b.*\\n(.*protoc .+)$`, "m").exec(readme)?.[1];
  if (found === undefined) throw new Error(`the README does not say how to generate ${language}`);
  return found;
}
