import { create, toBinary } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { RequestRecordSchema } from "../../gen/weir/admin/v1/record_pb.ts";
import { RecordBatchSchema } from "../../gen/weir/link/v1/link_service_pb.ts";
import { EncodedBatch } from "./encoded-batch.ts";

const records = ["a", "b"].map((requestId) => create(RequestRecordSchema, { requestId }));

describe("EncodedBatch", () => {
  it("has the number and the records of the message", () => {
    const message = create(RecordBatchSchema, { sequence: 7n, records });
    const batch = new EncodedBatch(toBinary(RecordBatchSchema, message));
    expect(batch.sequence).toBe(7n);
    expect(batch.length).toBe(2);
    expect(batch.first()).toEqual(records[0]);
    expect(batch.decode()).toEqual(records);
  });

  it("is made of records, and of none", () => {
    expect(EncodedBatch.of(records).decode()).toEqual(records);
    expect(EncodedBatch.of([]).first()).toBeUndefined();
  });

  it("passes over what a later version may add", () => {
    const later = Buffer.concat([Buffer.from([0x1a, 1, 65]), EncodedBatch.of(records).bytes]);
    expect(new EncodedBatch(later).decode()).toEqual(records);
  });

  it("refuses what is no batch", () => {
    for (const bytes of [[0x12], [0x12, 5, 0], [0x08], [0x0f]]) {
      expect(() => new EncodedBatch(Buffer.from(bytes)), String(bytes)).toThrow();
    }
  });
});
