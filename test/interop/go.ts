import { cpSync, readFileSync } from "node:fs";
import { delimiter, join, resolve } from "node:path";
import { buildBy, fetchBy, findTool } from "./bounded.ts";
import { useCache } from "./cache.ts";
import { findProtoc } from "./protoc.ts";
import { generateByReadme } from "./readme-line.ts";
import type { Suite } from "./suite.ts";

const programs = resolve("test/interop/go");

/** grpc-go by protoc's stubs, and connect-go by buf's. */
export const go: Suite = {
  name: "go",
  build: async (workplace) => {
    const version = await findTool("go", "version");
    const bin = await useCache(
      "go",
      [version, readFileSync(join(programs, "go.mod"), "utf8")],
      async (empty) => {
        await fetchBy(["go", "mod", "download"], { cwd: programs });
        await fetchBy(["go", "install", "tool"], { cwd: programs, env: { GOBIN: empty } });
      },
    );
    const protoc = await findProtoc();
    cpSync(programs, workplace, { recursive: true });
    await generateByReadme("Go", workplace, [bin, protoc]);
    await generateByBuf(workplace, bin);
    await buildBy(["go", "vet", "./..."], { cwd: workplace });
    await buildBy(["go", "build", "-o", "bin/", "./..."], { cwd: workplace });
    return [
      { name: "grpc-go", command: [join(workplace, "bin/grpcfacts")] },
      { name: "connect-go", command: [join(workplace, "bin/connectfacts")] },
    ];
  },
};

/** With the packages below a module's own path, as whoever needs more than one of them wants it. */
async function generateByBuf(workplace: string, bin: string): Promise<void> {
  const out = "connectgen";
  const plugin = (local: string) => ({ local, out, opt: "paths=source_relative" });
  const template = {
    version: "v2",
    managed: {
      enabled: true,
      override: [{ file_option: "go_package_prefix", value: `weirinterop/${out}` }],
    },
    plugins: [plugin("protoc-gen-go"), plugin("protoc-gen-connect-go")],
  };
  const path = [bin, resolve("node_modules/.bin"), process.env.PATH ?? ""].join(delimiter);
  const where = ["--path", "proto/weir", "--output", workplace];
  await buildBy(["buf", "generate", "--template", JSON.stringify(template), ...where], {
    env: { PATH: path },
  });
}
