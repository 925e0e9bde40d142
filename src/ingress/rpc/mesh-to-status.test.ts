import { fromBinary } from "@bufbuild/protobuf";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ErrorInfoSchema } from "../../../gen/google/rpc/error_details_pb.ts";
import { StatusSchema } from "../../../gen/google/rpc/status_pb.ts";
import { MeshError } from "../../mesh/errors.ts";
import { createStatusTrailers, encodeGrpcMessage } from "./mesh-to-status.ts";

describe("encodeGrpcMessage()", () => {
  it("is undone by percent-decoding, and is printable ASCII", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), (text) => {
        const encoded = encodeGrpcMessage(text);
        expect(encoded).toMatch(/^[\x20-\x7e]*$/);
        expect(decodeURIComponent(encoded)).toBe(text);
      }),
    );
  });

  it("leaves plain text alone", () => {
    expect(encodeGrpcMessage("Wait 5 s, then ask again.")).toBe("Wait 5 s, then ask again.");
    expect(encodeGrpcMessage("100 %\n–")).toBe("100 %25%0A%E2%80%93");
  });
});

describe("createStatusTrailers()", () => {
  it("says the request's id and the vendor's own words, and nothing internal", () => {
    const error = new MeshError("UPSTREAM_REFUSED", "No.", {
      internal: "hidden",
      upstream: { status: 400, type: "invalid", code: "too_long", param: "" },
    });
    const trailers = createStatusTrailers(error, "req_1");
    expect(trailers["grpc-status"]).toBe("3");
    const bytes = Buffer.from(trailers["grpc-status-details-bin"], "base64");
    expect(bytes.toString("latin1")).not.toContain("hidden");
    const [any] = fromBinary(StatusSchema, bytes).details;
    expect(any && anyUnpack(any, ErrorInfoSchema)?.metadata).toEqual({
      request_id: "req_1",
      upstream_status: "400",
      upstream_type: "invalid",
      upstream_code: "too_long",
    });
  });

  it("stays below what gRPC clients take as trailers, however long the text", () => {
    const text = "語".repeat(100_000);
    const error = new MeshError("UPSTREAM_REFUSED", text, { field: "messages" });
    const trailers = createStatusTrailers(error, "req_1");
    expect(JSON.stringify(trailers).length).toBeLessThan(8 * 1024);
    expect(decodeURIComponent(trailers["grpc-message"])).toMatch(/…$/);
  });
});
