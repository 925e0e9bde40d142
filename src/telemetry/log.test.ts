import { spawnSync } from "node:child_process";
import { describe, expect, it } from "vitest";

describe("createLog()", () => {
  it("writes what an error says, and what caused it", () => {
    const module = new URL("./log.ts", import.meta.url).href;
    const script = `
      const { createLog } = await import(${JSON.stringify(module)});
      const error = new Error("the disk is full", { cause: new Error("ENOSPC") });
      createLog("control", "info").warn({ error }, "records cannot be kept");
    `;
    const { stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", script], {
      encoding: "utf8",
    });
    expect(JSON.parse(stderr)).toMatchObject({
      error: { message: "the disk is full", cause: { message: "ENOSPC" } },
      msg: "records cannot be kept",
    });
  });
});
