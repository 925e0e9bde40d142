import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { findTool } from "./bounded.ts";
import { useCache } from "./cache.ts";
import { findJavaDirectory } from "./java.ts";
import { findPythonBin } from "./python.ts";
import { Absent } from "./suite.ts";

/**
 * A directory in which `protoc` is, or one that does no harm on the PATH when it is there already.
 * Throws Absent when no way to one is open here.
 */
export async function findProtoc(): Promise<string> {
  for (const way of [findByMaven, findByPython, findOnPath]) {
    try {
      return await way();
    } catch (thrown) {
      if (!(thrown instanceof Absent)) throw thrown;
    }
  }
  throw new Absent("there is no protoc here, and neither Maven nor Python to fetch one");
}

async function findByMaven(): Promise<string> {
  return join(await findJavaDirectory(), "bin");
}

/** The one that grpcio-tools carries takes the same arguments. */
async function findByPython(): Promise<string> {
  const python = join(await findPythonBin(), "python");
  return useCache("protoc", [python], async (empty) => {
    const file = join(empty, "protoc");
    writeFileSync(file, `#!/bin/sh\nexec "${python}" -m grpc_tools.protoc "$@"\n`);
    chmodSync(file, 0o755);
  });
}

async function findOnPath(): Promise<string> {
  await findTool("protoc", "--version");
  return "";
}
