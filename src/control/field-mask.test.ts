import { create } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { ModelSchema } from "../../gen/weir/admin/v1/model_pb.ts";
import { PolicySchema } from "../../gen/weir/admin/v1/policy_pb.ts";
import { ProviderSchema } from "../../gen/weir/admin/v1/provider_pb.ts";
import { copyPaths, formatPath, listDifferences, overlap, parseMask } from "./field-mask.ts";

const server = new Set(["name", "meta"]);

describe("parseMask()", () => {
  it("reads both spellings", () => {
    const paths = parseMask(
      ModelSchema,
      ["display_name", "displayName", "timeouts.firstToken"],
      server,
    );
    expect(paths.map(formatPath)).toEqual(["display_name", "display_name", "timeouts.first_token"]);
  });

  it("leaves out what the server writes", () => {
    expect(parseMask(ModelSchema, ["name", "meta.etag", "labels"], server).map(formatPath)).toEqual(
      ["labels"],
    );
    expect(parseMask(ModelSchema, [], server).map(formatPath)).not.toContain("meta");
  });

  for (const bad of ["nonsense", "", "labels.x", "targets.weight", "timeouts.", ".", "rule"]) {
    it(`refuses ${JSON.stringify(bad)}`, () => {
      expect(() => parseMask(ModelSchema, [bad], server)).toThrow(/update mask/);
    });
  }
});

describe("copyPaths()", () => {
  it("sets, clears and goes into messages", () => {
    const to = create(ModelSchema, {
      displayName: "old",
      labels: { a: "1" },
      retriesPerTarget: 3,
      timeouts: { idle: { seconds: 5n } },
    });
    const from = create(ModelSchema, { displayName: "new", timeouts: { total: { seconds: 9n } } });
    const mask = ["display_name", "labels", "retries_per_target", "timeouts.total"];
    copyPaths(ModelSchema, parseMask(ModelSchema, mask, server), { from, to });
    expect(to).toEqual(
      create(ModelSchema, {
        displayName: "new",
        timeouts: { idle: { seconds: 5n }, total: { seconds: 9n } },
      }),
    );
  });

  it("replaces one member of a oneof by another", () => {
    const to = create(ProviderSchema, { credential: { source: { case: "env", value: "A" } } });
    const from = create(ProviderSchema, { credential: { source: { case: "file", value: "/b" } } });
    const paths = parseMask(ProviderSchema, ["credential.file"], server);
    copyPaths(ProviderSchema, paths, { from, to });
    expect(to.credential?.source).toEqual({ case: "file", value: "/b" });
  });
});

describe("listDifferences()", () => {
  it("names the deepest fields, but lists and maps whole", () => {
    const a = create(ModelSchema, { labels: { a: "1" }, timeouts: { idle: { seconds: 5n } } });
    const b = create(ModelSchema, {
      labels: { a: "2" },
      timeouts: { idle: { seconds: 6n } },
      targets: [{ provider: "providers/p" }],
    });
    const paths = listDifferences(ModelSchema, a, b).map(formatPath);
    expect(paths.sort()).toEqual(["labels", "targets", "timeouts.idle.seconds"]);
    expect(listDifferences(ModelSchema, a, a)).toEqual([]);
  });
});

describe("overlap()", () => {
  const path = (text: string) => {
    const [found] = parseMask(ModelSchema, [text], server);
    if (found === undefined) throw new Error(text);
    return found;
  };
  it("holds for a field and what is below it, and for members of one oneof", () => {
    expect(overlap(path("timeouts"), path("timeouts.idle"))).toBe(true);
    expect(overlap(path("timeouts.total"), path("timeouts.idle"))).toBe(false);
    expect(overlap(path("labels"), path("targets"))).toBe(false);
    const [access] = parseMask(PolicySchema, ["access"], server);
    const [budget] = parseMask(PolicySchema, ["budget"], server);
    expect(access && budget && overlap(access, budget)).toBe(true);
  });
});
