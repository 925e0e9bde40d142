import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type RequestRecord, RequestRecordSchema } from "../../gen/weir/admin/v1/record_pb.ts";
import { EncodedBatch } from "../mesh/encoded-batch.ts";
import { createRow, readRow, readRows, readUsualRow } from "./record-row.ts";

const text = fc.oneof(
  fc.string({ maxLength: 70 }),
  fc.string({ unit: "grapheme", maxLength: 70 }),
  fc.constantFrom("", "é".repeat(64), "a".repeat(64), "a".repeat(65), "\ufffd", "\ufeffx", "\0"),
);
const int32 = fc.oneof(fc.nat(300), fc.integer(), fc.constantFrom(2 ** 31 - 1, -1, 2 ** 28));
const int64 = fc.oneof(
  fc.bigInt({ min: 0n, max: 10n ** 12n }),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  fc.constantFrom(2n ** 49n - 1n, 2n ** 49n, 2n ** 53n, -1n),
);
const time = fc.record({ seconds: int64, nanos: fc.integer({ min: 0, max: 999_999_999 }) });
const counts = fc.record({
  inputTokens: int32,
  cacheReadTokens: int32,
  cacheWriteTokens: int32,
  cacheWrite1hTokens: int32,
  inputAudioTokens: int32,
  outputTokens: int32,
  reasoningTokens: int32,
  outputAudioTokens: int32,
  vendorToolCalls: fc.dictionary(fc.constantFrom("search", "é"), int32, { noNullPrototype: true }),
  upstreamCostNanoUsd: int64,
});
const anyRecord = fc
  .record({
    requestId: text,
    startTime: fc.option(time, { nil: undefined }),
    latencyUs: int64,
    timeToFirstTokenUs: fc.option(int64, { nil: undefined }),
    door: text,
    stream: fc.boolean(),
    team: text,
    key: text,
    user: text,
    modelAsked: text,
    model: text,
    provider: text,
    attempts: fc.array(fc.record({ provider: text, httpStatus: int32 }), { maxLength: 2 }),
    usage: fc.option(counts, { nil: undefined }),
    costNanoUsd: int64,
    costKnown: fc.boolean(),
    errorReason: text,
    labels: fc.dictionary(text, text, { maxKeys: 3, noNullPrototype: true }),
    policyRevision: int64,
    auditDeniedBy: fc.array(text, { maxLength: 2 }),
    errorMessage: text,
    unprovenBy: fc.array(text, { maxLength: 2 }),
  })
  .map((init) => create(RequestRecordSchema, init));

/** The row as the generated decoder has it; labels in no order. */
function expectSame(bytes: Uint8Array): void {
  const row = readRow(Buffer.from(bytes));
  const expected = createRow(fromBinary(RequestRecordSchema, bytes), row.record);
  const sort = (labels: typeof row.labels) => new Map([...labels].sort());
  expect({ ...row, labels: sort(row.labels) }).toEqual({
    ...expected,
    labels: sort(expected.labels),
  });
}

describe("readRow()", () => {
  it("reads what the generated decoder reads, of any record", () => {
    fc.assert(fc.property(anyRecord, (record) => expectSame(encode(record))));
  });

  it("merges two records as protobuf does, the last of each field standing", () => {
    fc.assert(
      fc.property(anyRecord, anyRecord, (one, other) =>
        expectSame(Buffer.concat([encode(one), encode(other)])),
      ),
    );
  });

  it("agrees with the generated decoder on bytes that were cut or changed, or both refuse", () => {
    fc.assert(
      fc.property(anyRecord, fc.nat(), fc.nat(255), fc.boolean(), (record, at, byte, cut) => {
        const bytes = Buffer.from(encode(record));
        if (bytes.length === 0) return;
        const changed = cut ? bytes.subarray(0, at % bytes.length) : bytes;
        if (!cut) changed[at % bytes.length] = byte;
        // Of what it passes over it knows less than the decoder, which may refuse it.
        if (decodes(changed)) expectSame(changed);
      }),
    );
  });

  it("need not ask the generated decoder about a record as proxies write it", () => {
    const usual = create(RequestRecordSchema, {
      requestId: "req_1",
      startTime: { seconds: 1_790_000_000n, nanos: 999_999_999 },
      latencyUs: 800_000n,
      timeToFirstTokenUs: 0n,
      kind: 1,
      door: "grpc",
      stream: true,
      team: "teams/ä",
      attempts: [{ provider: "providers/p", httpStatus: 200, latencyUs: 1n, committed: true }],
      usage: { inputTokens: 2 ** 31 - 1, vendorToolCalls: { search: 1 }, estimated: true },
      costNanoUsd: 2n ** 49n - 1n,
      labels: { app: "x", "": "y" },
      auditDeniedBy: ["policies/p"],
      errorMessage: "x".repeat(300),
      unprovenBy: ["policies/p"],
    });
    const row = readUsualRow(Buffer.from(encode(usual)));
    expect(row).toEqual(createRow(usual, row.record));
  });

  it("keeps the bytes as they came, fields that are not known here too", () => {
    const writer = new BinaryWriter();
    writer.tag(1, WireType.LengthDelimited).string("r1");
    writer.tag(999, WireType.LengthDelimited).string("of a later version");
    const bytes = Buffer.from(writer.finish());
    const row = readRow(bytes);
    expect(row.requestId).toBe("r1");
    expect(Buffer.compare(row.record, bytes)).toBe(0);
  });

  it("refuses what is no record", () => {
    for (const bytes of [[0x0a], [0x0a, 5, 65], [0], [0x0f], [0x0a, 1, 0xff]]) {
      expect(() => readRow(Buffer.from(bytes)), String(bytes)).toThrow();
    }
  });
});

describe("readRows()", () => {
  it("has the records of all batches in their order", () => {
    const batch = (...ids: string[]) =>
      EncodedBatch.of(ids.map((requestId) => create(RequestRecordSchema, { requestId }))).bytes;
    const rows = readRows([batch("a", "b"), batch(), batch("c")]);
    expect(rows.map((row) => row.requestId)).toEqual(["a", "b", "c"]);
  });
});

function encode(record: RequestRecord): Uint8Array {
  return toBinary(RequestRecordSchema, record);
}

function decodes(bytes: Uint8Array): boolean {
  try {
    fromBinary(RequestRecordSchema, bytes);
    return true;
  } catch {
    return false;
  }
}
