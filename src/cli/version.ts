import { readFileSync } from "node:fs";

const manifest: unknown = JSON.parse(
  readFileSync(new URL("../../package.json", import.meta.url), "utf8"),
);

/** This release, as package.json says. */
export const version = readVersion(manifest);

function readVersion(value: unknown): string {
  if (typeof value !== "object" || value === null || !("version" in value)) return "unknown";
  return String(value.version);
}
