import { fromBinary } from "@bufbuild/protobuf";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { describe, expect, it } from "vitest";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  QuotaFailureSchema,
  RetryInfoSchema,
} from "../../gen/google/rpc/error_details_pb.ts";
import { StatusSchema } from "../../gen/google/rpc/status_pb.ts";
import { MeshError } from "./errors.ts";
import { encodeStatus, mapStatus } from "./status.ts";

describe("mapStatus()", () => {
  it("always says reason and domain", () => {
    const status = mapStatus(new MeshError("NOT_FOUND", "There is none.", { internal: "secret" }));
    expect(status.code).toBe(5);
    expect(status.details).toHaveLength(1);
    expect(status.details[0]?.value).toMatchObject({ reason: "NOT_FOUND", domain: "weir" });
    expect(Buffer.from(encodeStatus(status)).toString("latin1")).not.toContain("secret");
  });

  it("says when to come back, what is spent and which field is at fault", () => {
    const error = new MeshError("RATE_LIMITED", "Too many.", {
      retryAfterMs: 1500,
      field: "chat.model",
      metadata: { scope: "teams/a", limit: "3" },
    });
    const decoded = fromBinary(StatusSchema, encodeStatus(mapStatus(error)));
    expect(decoded).toMatchObject({ code: 8, message: "Too many." });
    const [info, retry, quota, bad] = decoded.details;
    if (!info || !retry || !quota || !bad) throw new Error("a detail is missing");
    expect(anyUnpack(info, ErrorInfoSchema)?.metadata).toEqual({ scope: "teams/a", limit: "3" });
    expect(anyUnpack(retry, RetryInfoSchema)?.retryDelay).toMatchObject({
      seconds: 1n,
      nanos: 500_000_000,
    });
    expect(anyUnpack(quota, QuotaFailureSchema)?.violations[0]?.subject).toBe("teams/a");
    expect(anyUnpack(bad, BadRequestSchema)?.fieldViolations[0]?.field).toBe("chat.model");
  });
});
