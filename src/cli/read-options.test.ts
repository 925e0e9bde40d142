import { describe, expect, it } from "vitest";
import { z } from "zod";
import { describeOptions, type OptionSpecs, readOptions } from "./read-options.ts";
import { UsageError } from "./usage-error.ts";

const specs: OptionSpecs = {
  key: { value: "KEY", help: "the key", env: ["FIRST", "SECOND"], short: "k" },
  count: { value: "N", help: "how many", env: "COUNT" },
  loud: { value: undefined, help: "say more" },
};
const schema = z.object({
  key: z.string(),
  count: z.coerce.number().int().default(1),
  loud: z.boolean().default(false),
});

describe("readOptions()", () => {
  it("takes flags before variables, and the first variable that is set", () => {
    const read = (args: string[], env: Record<string, string>) =>
      readOptions(args, specs, schema, env).options.key;
    expect(read(["--key", "flag"], { FIRST: "1" })).toBe("flag");
    expect(read([], { FIRST: "1", SECOND: "2" })).toBe("1");
    expect(read([], { FIRST: "", SECOND: "2" })).toBe("2");
  });

  it("keeps what is no option", () => {
    const { positionals } = readOptions(["a", "-k", "x", "--", "-b"], specs, schema, {});
    expect(positionals).toEqual(["a", "-b"]);
  });

  const wrong: Array<[string[], string]> = [
    [[], "--key is required"],
    [["-k", "x", "--count", "many"], "--count: "],
    [["-k", "x", "--bogus"], "Unknown option '--bogus'"],
    [["-k"], "argument missing"],
    [["-k", "x", "--loud=yes"], "--loud"],
  ];
  for (const [args, message] of wrong) {
    it(`refuses ${args.join(" ") || "nothing"}`, () => {
      expect(() => readOptions(args, specs, schema, {})).toThrow(UsageError);
      expect(() => readOptions(args, specs, schema, {})).toThrow(message);
    });
  }
});

describe("describeOptions()", () => {
  it("names flags, values and variables", () => {
    expect(describeOptions(specs).split("\n")).toEqual([
      "  -k, --key KEY  the key (FIRST or SECOND)",
      "  --count N      how many (COUNT)",
      "  --loud         say more",
    ]);
  });
});
