import { readFileSync } from "node:fs";
import { fromJson } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { PolicySchema } from "../gen/weir/admin/v1/policy_pb.ts";
import { ErrorReason } from "../gen/weir/v1/error_pb.ts";
import { readDocuments } from "../src/cli/read-documents.ts";
import { compileLimit } from "../src/mesh/compile-limit.ts";
import { errorTable } from "../src/mesh/errors.ts";

const grpcNames: Readonly<Record<number, string>> = {
  1: "CANCELLED",
  3: "INVALID_ARGUMENT",
  4: "DEADLINE_EXCEEDED",
  5: "NOT_FOUND",
  6: "ALREADY_EXISTS",
  7: "PERMISSION_DENIED",
  8: "RESOURCE_EXHAUSTED",
  9: "FAILED_PRECONDITION",
  10: "ABORTED",
  12: "UNIMPLEMENTED",
  13: "INTERNAL",
  14: "UNAVAILABLE",
  16: "UNAUTHENTICATED",
};

describe("the table of errors", () => {
  it("says in the README what the code does, both ways", () => {
    const rows = readFileSync("README.md", "utf8").matchAll(
      /^\| ([A-Z_]+) \| ([A-Z_]+) \| (\d{3}) \| .+ \|$/gm,
    );
    const written = [...rows].map(([, reason, grpc, http]) => `${reason} ${grpc} ${http}`);
    const coded = Object.entries(errorTable).map(
      ([reason, row]) => `${reason} ${grpcNames[row.grpc]} ${row.http}`,
    );
    expect(written.sort()).toEqual(coded.sort());
  });

  it("has the reasons of weir.v1.ErrorReason, both ways", () => {
    const named = Object.keys(ErrorReason).filter((name) => name !== "UNSPECIFIED");
    expect(named.sort()).toEqual(Object.keys(errorTable).sort());
  });
});

describe("the documents that are shown", () => {
  const readme = readFileSync("README.md", "utf8");
  const texts = [...readme.matchAll(/<<'YAML'\n([\s\S]*?)\nYAML\n/g)].map(([, text = ""]) => text);
  const all = texts.map((text) => readDocuments(text, "README.md"));

  it("are ones that `weir apply` reads", () => {
    expect(all.length).toBeGreaterThan(1);
    for (const { documents, faults } of all) {
      expect(faults).toEqual([]);
      expect(documents.length).toBeGreaterThan(0);
      for (const { kind, json } of documents) expect(() => kind.parse(json)).not.toThrow();
    }
  });

  it("have policies that proxies understand", () => {
    const policies = all.flatMap(({ documents }) =>
      documents.filter(({ kind }) => kind.word === "policy"),
    );
    const limits = policies.map(({ json }) => compileLimit(fromJson(PolicySchema, json)));
    expect(limits.map((limit) => limit?.kind)).toEqual(["budget", "budget", "rate", "concurrency"]);
  });
});
