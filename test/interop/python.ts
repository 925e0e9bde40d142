import { globSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { buildBy, fetchBy, findTool } from "./bounded.ts";
import { useCache } from "./cache.ts";
import { generateByReadme } from "./readme-line.ts";
import type { Program, Suite } from "./suite.ts";

const programs = resolve("test/interop/python");
const requirements = join(programs, "requirements.txt");

/** grpcio and the vendors' clients for Python. */
export const python: Suite = {
  name: "python",
  build: async (workplace) => {
    const bin = await findPythonBin();
    await generateByReadme("Python", workplace, [bin]);
    await generateAdmin(workplace, bin);
    const run = (name: string, file: string): Program => ({
      name,
      command: [join(bin, "python"), join(programs, file)],
      env: { PYTHONPATH: workplace, PYTHONDONTWRITEBYTECODE: "1" },
    });
    return [run("grpcio", "grpc_facts.py"), run("vendors' clients", "rest_facts.py")];
  },
};

/** The ledger's side too: it tells what Weir has noticed. */
async function generateAdmin(workplace: string, bin: string): Promise<void> {
  const files = globSync("proto/weir/admin/v1/*.proto");
  const outs = [`--python_out=${workplace}`, `--grpc_python_out=${workplace}`];
  const protoc = [join(bin, "python"), "-m", "grpc_tools.protoc"] as const;
  await buildBy([...protoc, "-I", "proto", ...outs, ...files]);
}

/** Where a Python is that has all that is pinned. Throws Absent without Python or its registry. */
export async function findPythonBin(): Promise<string> {
  const version = await findTool("python3", "--version");
  const directory = await useCache(
    "python",
    [version, readFileSync(requirements, "utf8")],
    async (empty) => {
      await fetchBy(["python3", "-m", "venv", empty]);
      await fetchBy([join(empty, "bin/python"), "-m", "pip", "install", "-q", "-r", requirements]);
    },
  );
  return join(directory, "bin");
}
