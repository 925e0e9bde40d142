import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { ErrorReason } from "../gen/weir/v1/error_pb.ts";
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
