import { chmodSync, cpSync, globSync, mkdirSync, readFileSync, renameSync } from "node:fs";
import { delimiter, join, resolve } from "node:path";
import { buildBy, fetchBy, findTool } from "./bounded.ts";
import { useCache } from "./cache.ts";
import { generateByReadme } from "./readme-line.ts";
import { Absent, type Suite } from "./suite.ts";

const pom = resolve("test/interop/java/pom.xml");
const programs = resolve("test/interop/java/src");

/** grpc-java. */
export const java: Suite = {
  name: "java",
  build: async (workplace) => {
    await findTool("javac", "-version");
    const directory = await findJavaDirectory();
    await generateByReadme("Java", workplace, [join(directory, "bin")]);
    cpSync(programs, join(workplace, "src"), { recursive: true });
    const sources = globSync("src/main/java/**/*.java", { cwd: workplace });
    const jars = join(directory, "lib", "*");
    await buildBy(["javac", "-nowarn", "-cp", jars, "-d", "classes", ...sources], {
      cwd: workplace,
    });
    const classpath = [join(workplace, "classes"), jars].join(delimiter);
    return [{ name: "grpc-java", command: ["java", "-cp", classpath, "weirinterop.GrpcFacts"] }];
  },
};

/**
 * A directory with `bin/protoc`, what it includes, `bin/protoc-gen-grpc-java` and the jars in
 * `lib/`. Throws Absent without Maven or its registry.
 */
export async function findJavaDirectory(): Promise<string> {
  const version = await findTool("mvn", "-version");
  const text = readFileSync(pom, "utf8");
  return await useCache("java", [version, text], async (empty) => {
    const [lib, bin] = [join(empty, "lib"), join(empty, "bin")];
    await runMaven("dependency:copy-dependencies", `-DoutputDirectory=${lib}`);
    await fetchExecutable("com.google.protobuf:protoc", readVersion(text, "protobuf"), bin);
    await fetchIncludes(readVersion(text, "protobuf"), join(empty, "include"));
    await fetchExecutable("io.grpc:protoc-gen-grpc-java", readVersion(text, "grpc"), bin);
  });
}

async function fetchExecutable(artifact: string, version: string, bin: string): Promise<void> {
  mkdirSync(bin, { recursive: true });
  const coordinates = `${artifact}:${version}:exe:${findClassifier()}`;
  await runMaven("dependency:copy", `-Dartifact=${coordinates}`, `-DoutputDirectory=${bin}`);
  const name = artifact.slice(artifact.indexOf(":") + 1);
  const [fetched = ""] = globSync(`${name}-${version}-*.exe`, { cwd: bin });
  renameSync(join(bin, fetched), join(bin, name));
  chmodSync(join(bin, name), 0o755);
}

/** Google's own types, which protoc looks for in this place, as in a release of it. */
async function fetchIncludes(version: string, include: string): Promise<void> {
  await runMaven(
    "dependency:unpack",
    `-Dartifact=com.google.protobuf:protobuf-java:${version}`,
    "-Dmdep.unpack.includes=google/protobuf/*.proto",
    `-DoutputDirectory=${include}`,
  );
}

function runMaven(...args: string[]): Promise<void> {
  return fetchBy(["mvn", "--batch-mode", "--quiet", "--file", pom, ...args]);
}

/** The name that Maven's packages of programs give to this platform. */
function findClassifier(): string {
  const systems: Readonly<Record<string, string>> = { linux: "linux", darwin: "osx" };
  const machines: Readonly<Record<string, string>> = { x64: "x86_64", arm64: "aarch_64" };
  const [system, machine] = [systems[process.platform], machines[process.arch]];
  if (system === undefined || machine === undefined) {
    throw new Absent(`no protoc is known for ${process.platform} on ${process.arch}`);
  }
  return `${system}-${machine}`;
}

function readVersion(text: string, name: string): string {
  const version = new RegExp(`<${name}\\.version>(.+)</`).exec(text)?.[1];
  if (version === undefined) throw new Error(`${pom} has no property ${name}.version`);
  return version;
}
