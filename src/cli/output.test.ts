import { spawn } from "node:child_process";
import { describe, expect, it } from "vitest";

/** Runs a script whose standard output nobody reads any more; resolves with code and errors. */
async function runUnread(isServer: boolean): Promise<{ code: number | null; errors: string }> {
  const module = new URL("./output.ts", import.meta.url).href;
  const script = `
    const { outliveReader, print } = await import(${JSON.stringify(module)});
    outliveReader(${isServer});
    process.stdin.once("data", () => {
      print("nobody reads this");
      process.stdout.write("", () => setImmediate(() => process.exit(7)));
    });
    process.stderr.write("ready ");
  `;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script]);
  let errors = "";
  child.stderr.on("data", (text) => {
    errors += text;
    if (errors !== "ready ") return;
    child.stdout.once("close", () => child.stdin.write("go"));
    child.stdout.destroy();
  });
  child.stdin.on("error", () => {});
  const code = await new Promise<number | null>((resolve) => child.once("close", resolve));
  return { code, errors };
}

describe("when whoever reads standard output has gone", () => {
  it("a command ends, without a word", async () => {
    expect(await runUnread(false)).toEqual({ code: 0, errors: "ready " });
  });

  it("a server goes on", async () => {
    expect(await runUnread(true)).toEqual({ code: 7, errors: "ready " });
  });
});
