import { fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterEach, describe, expect, it } from "vitest";
import { CHILD_VARIABLE } from "./termination.ts";

const directory = mkdtempSync(join(tmpdir(), "weir-termination-"));
afterEach(() => rmSync(directory, { recursive: true, force: true }));

describe("onTermination()", () => {
  it("drains a child whose parent was gone before the child had started", async () => {
    const { href } = pathToFileURL(join(import.meta.dirname, "termination.ts"));
    const script = join(directory, "child.mjs");
    writeFileSync(
      script,
      `import { onTermination } from ${JSON.stringify(href)};
      while (process.connected) await new Promise((resolve) => setImmediate(resolve));
      const alive = setInterval(() => {}, 1000);
      const code = await onTermination({ drain: async () => {}, abandon: () => {} });
      clearInterval(alive);
      process.exit(code + 40);`,
    );
    const child = fork(script, { env: { ...process.env, [CHILD_VARIABLE]: "1" } });
    const ended = once(child, "exit");
    child.disconnect();
    expect(await ended).toEqual([40, null]);
  });
});
