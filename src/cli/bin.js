#!/usr/bin/env node
// With child-memory.js all that an old Node may run: it finds the Node that Weir came with and hands over to it. Plain
// JavaScript, since an old Node strips no types.
import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { withMemorySettings } from "./child-memory.js";

const main = join(dirname(fileURLToPath(import.meta.url)), "..", "main.ts");
const node = isNewEnough(process.versions.node) ? process.execPath : findNode();
const env = withMemorySettings(process.env);
const child = spawn(node, [main, ...process.argv.slice(2)], { stdio: "inherit", env });
// Ctrl-C reaches the child by itself, through the terminal; all other signals come here alone and are handed on.
process.on("SIGINT", () => {});
process.on("SIGTERM", () => child.kill("SIGTERM"));
child.on("exit", (code) => process.exit(code ?? 1));

function isNewEnough(version) {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  return major > 26 || (major === 26 && minor >= 10);
}

function findNode() {
  const names = [
    `node-${process.platform}-${process.arch}`,
    `node-bin-${process.platform}-${process.arch}`,
  ];
  const require = createRequire(import.meta.url);
  for (const name of names) {
    try {
      const manifest = require.resolve(`${name}/package.json`);
      return join(dirname(manifest), require(manifest).bin.node);
    } catch {
      // Not the name that this platform's package has.
    }
  }
  console.error(`weir: needs Node 26.10 or newer, this is ${process.versions.node}; run npm ci`);
  process.exit(1);
}
