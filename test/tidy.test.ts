import { globSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { describe, expect, it } from "vitest";

/** What each room may import, beside itself, gen and packages. The plan of the house, held here and nowhere else. */
const arrows: Record<string, readonly string[]> = {
  mesh: [],
  catalogue: ["mesh"],
  telemetry: [],
  dialects: ["mesh"],
  ingress: ["mesh", "dialects"],
  providers: ["mesh", "dialects"],
  sim: ["mesh", "dialects"],
  auth: ["mesh"],
  policy: ["mesh"],
  quota: ["mesh"],
  cache: ["mesh"],
  routing: ["mesh"],
  link: ["mesh"],
  store: ["mesh"],
  control: ["mesh", "store"],
  client: [],
};

/** The composition root and the commands may import everything. */
const roots = new Set(["cli", "main.ts"]);

const bans: ReadonlyArray<readonly [RegExp, string, readonly string[]]> = [
  [
    /\bDate\.now\(|(?<!\.)\bset(?:Timeout|Interval)\(|\bperformance\.now\(/,
    "use mesh/clock.ts",
    ["mesh/clock.ts"],
  ],
  [/\bMath\.random\(/, "use mesh/random.ts", ["mesh/random.ts"]],
  [/\bfetch\(/, "use undici's dispatch: fetch costs five times as much", []],
  [/\bTODO\b|\bFIXME\b|\bXXX\b/, "do it, or name it in an issue", []],
  [/\bconsole\.log\(/, "use the log, or the command line's printer", ["cli/"]],
];

const LINES_MAX = 400;
const FUNCTION_LINES_MAX = 70;
const COLUMNS_MAX = 100;

const files = globSync("src/**/*.ts").sort();
const sources = files.filter((path) => !path.endsWith(".test.ts"));

describe("the house", () => {
  it("has only rooms that the plan names", () => {
    const rooms = new Set(sources.map(roomOf));
    expect([...rooms].filter((room) => !(room in arrows) && !roots.has(room))).toEqual([]);
  });

  it("has only the arrows that the plan allows", () => {
    expect(sources.flatMap(listForbiddenImports)).toEqual([]);
  });

  it("has only files of a readable size", () => {
    const long = files.filter(
      (path) => readFileSync(path, "utf8").split("\n").length > LINES_MAX + 1,
    );
    expect(long).toEqual([]);
  });

  it("has only functions of a readable size", () => {
    expect(sources.flatMap(listLongFunctions)).toEqual([]);
  });

  it("has no comment wider than a screen; code is the formatter's", () => {
    const isWide = (line: string) => line.length > COLUMNS_MAX && isComment(line);
    expect(sources.flatMap((path) => listLines(path, isWide))).toEqual([]);
  });

  for (const [pattern, instead, exempt] of bans) {
    it(`has no ${pattern.source}: ${instead}`, () => {
      const found = sources
        .filter((path) => !exempt.some((each) => path.startsWith(`src/${each}`)))
        .flatMap((path) => listLines(path, (line) => pattern.test(line) && !isComment(line)));
      expect(found).toEqual([]);
    });
  }
});

function roomOf(path: string): string {
  return path.split("/")[1] ?? "";
}

function listForbiddenImports(path: string): string[] {
  const room = roomOf(path);
  if (roots.has(room)) return [];
  const text = readFileSync(path, "utf8");
  const found: string[] = [];
  for (const [, specifier] of text.matchAll(/(?:from|import)\s*\(?\s*"(\.{1,2}\/[^"]+)"/g)) {
    const target = relative(process.cwd(), join(process.cwd(), dirname(path), specifier ?? ""));
    if (target.startsWith("gen/")) continue;
    const other = roomOf(target);
    if (other !== room && !(arrows[room] ?? []).includes(other)) found.push(`${path} → ${target}`);
  }
  return found;
}

/** Functions and methods as the formatter leaves them: the closing brace stands in the column of the opening line. */
function listLongFunctions(path: string): string[] {
  const lines = readFileSync(path, "utf8").split("\n");
  const found: string[] = [];
  lines.forEach((line, at) => {
    const indent =
      /^(\s*)(?:export )?(?:async )?(?:function\b|(?:static |async |get |set |#)*[\w#]+\(.*\{$)/.exec(
        line,
      )?.[1];
    if (
      indent === undefined ||
      !line.trimEnd().endsWith("{") ||
      /^\s*(?:if|for|while|switch)\b/.test(line)
    )
      return;
    const end = lines.findIndex((each, i) => i > at && each.startsWith(`${indent}}`));
    if (end - at > FUNCTION_LINES_MAX) found.push(`${path}:${at + 1} has ${end - at} lines`);
  });
  return found;
}

function listLines(path: string, isFound: (line: string) => boolean): string[] {
  return readFileSync(path, "utf8")
    .split("\n")
    .flatMap((line, at) => (isFound(line) ? [`${path}:${at + 1}: ${line.trim()}`] : []));
}

function isComment(line: string): boolean {
  return /^\s*(?:\*|\/\/|\/\*)/.test(line);
}
