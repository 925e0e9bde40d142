import { spawnSync } from "node:child_process";
import { rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

// Node strips no types under node_modules, so the package carries the client in JavaScript. `npm
// pack` runs this: `build` before it packs, `restore` after it. The package's entry is the same
// file in both lives: here it leads to the sources, in the package to what was built.

const dist = fileURLToPath(new URL("../../dist/", import.meta.url));
const tsconfig = fileURLToPath(new URL("tsconfig.json", import.meta.url));
const compiler = fileURLToPath(new URL("../../node_modules/.bin/tsc", import.meta.url));

const [, , step] = process.argv;
rmSync(dist, { recursive: true, force: true });
if (step === "build") {
  const { status } = spawnSync(compiler, ["-p", tsconfig], { stdio: "inherit" });
  if (status !== 0) process.exit(1);
  pointEntry("../../dist/src/client/index.js");
} else {
  pointEntry("./index.ts");
}

function pointEntry(target: string): void {
  for (const name of ["entry.js", "entry.d.ts"]) {
    writeFileSync(new URL(name, import.meta.url), `export * from "${target}";\n`);
  }
}
