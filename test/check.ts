/** One command for all that must hold: generated code, protobuf form and compatibility, types, lint, format, tests. */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { globSync, readFileSync } from "node:fs";

const API_BASELINE = "test/api-baseline.binpb";

const steps: ReadonlyArray<readonly [string, () => boolean]> = [
  ["generated code is unchanged", isGeneratedCodeUnchanged],
  ["protobuf is well formed", () => run("buf", "lint")],
  ["protobuf is formatted", () => run("buf", "format", "--diff", "--exit-code")],
  ["protobuf breaks no client", () => run("buf", "breaking", "--against", API_BASELINE)],
  ["types", () => run("tsc", "-p", ".")],
  ["lint and format", () => run("biome", "ci", "--error-on-warnings", ".")],
  ["tests", () => run("node", "test/run.ts")],
];

for (const [name, holds] of steps) {
  const startedMs = performance.now();
  if (!holds()) {
    console.error(`check: ${name}: FAILED`);
    process.exit(1);
  }
  console.error(`check: ${name}: ok (${((performance.now() - startedMs) / 1000).toFixed(1)} s)`);
}

function isGeneratedCodeUnchanged(): boolean {
  const before = hashGenerated();
  if (!run("buf", "generate")) return false;
  if (before === hashGenerated()) return true;
  console.error("gen/ is not what proto/ generates: run `npm run generate` and commit gen/.");
  return false;
}

function hashGenerated(): string {
  const hash = createHash("sha256");
  for (const path of globSync("gen/**/*.ts").sort()) hash.update(path).update(readFileSync(path));
  return hash.digest("hex");
}

function run(command: string, ...args: string[]): boolean {
  return spawnSync(command, args, { stdio: "inherit" }).status === 0;
}
