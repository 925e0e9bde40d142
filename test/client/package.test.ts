import { execFile, execFileSync, spawnSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openPretendWeir, type PretendWeir } from "./pretend-weir.ts";

const run = promisify(execFile);
const root = process.cwd();
const modules = join(root, "node_modules");
const place = mkdtempSync(join(tmpdir(), "weir-package-"));
const app = join(place, "app");
let weir: PretendWeir;

beforeAll(async () => {
  weir = await openPretendWeir({
    chat: {
      createChat: () => ({
        choices: [
          { message: { parts: [{ part: { case: "text" as const, value: { text: "packed" } } }] } },
        ],
      }),
    },
  });
  packInto(app);
});
afterAll(async () => {
  await weir.close();
  rmSync(place, { recursive: true, force: true });
});

describe("the package", () => {
  const olderNode = ["/usr/bin/node", "/usr/local/bin/node"].find(existsSync);
  const nodes = new Set([process.execPath, ...(olderNode === undefined ? [] : [olderNode])]);
  for (const node of nodes) {
    const nodeVersion = execFileSync(node, ["--version"], { encoding: "utf8" }).trim();
    it(`serves "weir/client" from node_modules, on Node ${nodeVersion}`, async () => {
      const script = `
        import { createWeirClient, user } from "weir/client";
        const weir = createWeirClient({ address: "${weir.address}", key: "wk_test" });
        process.stdout.write(await weir.chat.text({ model: "m", messages: [user("hi")] }));
        weir.close();`;
      writeFileSync(join(app, "use.mjs"), script);
      const { stdout } = await run(node, ["use.mjs"], { cwd: app });
      expect(stdout).toBe("packed");
    });
  }

  it("carries types that a strict service compiles against", () => {
    const script = `
      import { createWeirClient, user, type ChatEvent } from "weir/client";
      const weir = createWeirClient({ address: "http://127.0.0.1:1", key: "wk_test" });
      export const text: Promise<string> = weir.chat.text({ model: "m", messages: [user("hi")] });
      export const events: AsyncIterable<ChatEvent> = weir.chat.stream({ model: "m" });
      // @ts-expect-error: a model is a string
      await weir.chat.create({ model: 1 });`;
    writeFileSync(join(app, "use.ts"), script);
    const options = ["--strict", "--noEmit", "--skipLibCheck", "--module", "nodenext"];
    const args = [...options, "--target", "es2022", "--types", "node", "use.ts"];
    const { stdout, status } = spawnSync(join(modules, ".bin/tsc"), args, {
      cwd: app,
      encoding: "utf8",
    });
    expect([status, stdout]).toEqual([0, ""]);
  });

  it("carries no tests", () => {
    const files = readdirSync(join(app, "node_modules/weir"), { recursive: true }).map(String);
    expect(files.filter((path) => path.includes(".test."))).toEqual([]);
    expect(files).toContain("dist/src/client/index.js");
  });
});

/** Packs a copy, since packing writes into the tree, and unpacks it as npm would install it. */
function packInto(target: string): void {
  const copy = join(place, "copy");
  for (const part of ["package.json", "tsconfig.json", "src/client", "src/cli/bin.js", "gen"]) {
    mkdirSync(dirname(join(copy, part)), { recursive: true });
    cpSync(join(root, part), join(copy, part), { recursive: true });
  }
  symlinkSync(modules, join(copy, "node_modules"));
  execFileSync("npm", ["pack", "--offline", "--pack-destination", place], {
    cwd: copy,
    stdio: "pipe",
  });
  const tarball = readdirSync(place).find((name) => name.endsWith(".tgz")) ?? "";
  const installed = join(target, "node_modules/weir");
  mkdirSync(installed, { recursive: true });
  execFileSync("tar", ["-xzf", join(place, tarball), "-C", installed, "--strip-components=1"]);
  for (const name of ["@bufbuild", "@connectrpc", "@grpc", "@types"]) {
    symlinkSync(join(modules, name), join(target, "node_modules", name));
  }
  writeFileSync(join(target, "package.json"), JSON.stringify({ type: "module" }));
}
