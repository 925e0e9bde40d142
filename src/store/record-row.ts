import { fromBinary } from "@bufbuild/protobuf";
import type { RequestRecord } from "../../gen/weir/admin/v1/record_pb.ts";
import { RequestRecordSchema } from "../../gen/weir/admin/v1/record_pb.ts";
import { EncodedBatch } from "../mesh/encoded-batch.ts";
import type { LedgerRow } from "./ledger-rows.ts";
import { RecordReader, UNUSUAL } from "./record-reader.ts";

/** The rows of encoded batches, whose bytes become a part of them. Throws as `readRow` does. */
export function readRows(batches: readonly Uint8Array[]): LedgerRow[] {
  const rows: LedgerRow[] = [];
  for (const bytes of batches) {
    for (const record of new EncodedBatch(bytes).records) rows.push(readRow(record));
  }
  return rows;
}

/**
 * The row of an encoded record, of which `bytes` become a part. The generated decoder builds the
 * whole message, which takes five times as long; it is asked only where a record is written
 * otherwise than nearly all are, and throws where it is malformed.
 */
export function readRow(bytes: Buffer): LedgerRow {
  try {
    return readUsualRow(bytes);
  } catch (error) {
    if (error !== UNUSUAL) throw error;
    return createRow(fromBinary(RequestRecordSchema, bytes), bytes);
  }
}

/** The row of a record that is written as usual; throws UNUSUAL for any other. */
export function readUsualRow(bytes: Buffer): LedgerRow {
  return new RowReader(bytes).read();
}

/** The row of a decoded record. */
export function createRow(record: RequestRecord, bytes: Uint8Array): LedgerRow {
  const { startTime, usage } = record;
  return {
    requestId: record.requestId,
    startMs: startTime === undefined ? 0 : mapTime(Number(startTime.seconds), startTime.nanos),
    team: record.team,
    key: record.key,
    user: record.user,
    modelAsked: record.modelAsked,
    model: record.model,
    provider: record.provider,
    inputTokens: usage?.inputTokens ?? 0,
    cacheReadTokens: usage?.cacheReadTokens ?? 0,
    cacheWriteTokens: usage?.cacheWriteTokens ?? 0,
    cacheWrite1hTokens: usage?.cacheWrite1hTokens ?? 0,
    inputAudioTokens: usage?.inputAudioTokens ?? 0,
    outputTokens: usage?.outputTokens ?? 0,
    reasoningTokens: usage?.reasoningTokens ?? 0,
    outputAudioTokens: usage?.outputAudioTokens ?? 0,
    costNanoUsd: mapExact(record.costNanoUsd),
    costKnown: record.costKnown,
    latencyUs: mapExact(record.latencyUs),
    errorReason: record.errorReason,
    labels: Object.entries(record.labels),
    record: bytes,
  };
}

/** Milliseconds since 1970, rounded down. */
export function mapTime(seconds: number, nanos: number): number {
  return seconds * 1000 + Math.floor(nanos / 1_000_000);
}

function mapExact(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

/** Fields of the record that are read here, a bit each: with another type they are unusual. */
const READ = [1, 2, 3, 8, 9, 10, 11, 12, 13, 16, 17, 18, 21, 23].reduce(
  (bits, field) => bits | (1 << field),
  0,
);

/** Reads one record. As protobuf has it, the last of a field that comes twice stands. */
class RowReader {
  readonly #reader: RecordReader;
  readonly #row: { -readonly [Name in keyof LedgerRow]: LedgerRow[Name] };
  #seconds = 0;
  #nanos = 0;
  #labels: [string, string][] | undefined;

  constructor(bytes: Buffer) {
    this.#reader = new RecordReader(bytes);
    this.#row = {
      requestId: "",
      startMs: 0,
      team: "",
      key: "",
      user: "",
      modelAsked: "",
      model: "",
      provider: "",
      inputTokens: 0,
      cacheReadTokens: 0,
      cacheWriteTokens: 0,
      cacheWrite1hTokens: 0,
      inputAudioTokens: 0,
      outputTokens: 0,
      reasoningTokens: 0,
      outputAudioTokens: 0,
      costNanoUsd: 0,
      costKnown: false,
      latencyUs: 0,
      errorReason: "",
      labels: [],
      record: bytes,
    };
  }

  read(): LedgerRow {
    const reader = this.#reader;
    while (reader.more) this.#readField(reader, reader.tag());
    reader.leave(0);
    const row = this.#row;
    row.startMs = mapTime(this.#seconds, this.#nanos);
    if (this.#labels !== undefined) row.labels = this.#labels;
    return row;
  }

  /** A case is a tag: the field's number times eight, and its type on the wire. */
  #readField(reader: RecordReader, tag: number): void {
    const row = this.#row;
    switch (tag) {
      case 0x0a:
        row.requestId = reader.text();
        return;
      case 0x12:
        this.#readTime(reader);
        return;
      case 0x18:
        row.latencyUs = reader.integer();
        return;
      case 0x42:
        row.team = reader.text();
        return;
      case 0x4a:
        row.key = reader.text();
        return;
      case 0x52:
        row.user = reader.text();
        return;
      case 0x5a:
        row.modelAsked = reader.text();
        return;
      case 0x62:
        row.model = reader.text();
        return;
      case 0x6a:
        row.provider = reader.text();
        return;
      case 0x82:
        this.#readUsage(reader);
        return;
      case 0x88:
        row.costNanoUsd = reader.integer();
        return;
      case 0x90:
        row.costKnown = reader.integer() !== 0;
        return;
      case 0xaa:
        row.errorReason = reader.text();
        return;
      case 0xba:
        this.#readLabel(reader);
        return;
      default:
        skipOther(reader, tag, READ);
    }
  }

  #readTime(reader: RecordReader): void {
    const outer = reader.enter();
    while (reader.more) {
      const tag = reader.tag();
      if (tag === 0x08) this.#seconds = reader.integer();
      else if (tag === 0x10) this.#nanos = reader.int32();
      else throw UNUSUAL;
    }
    reader.leave(outer);
  }

  #readUsage(reader: RecordReader): void {
    const row = this.#row;
    const outer = reader.enter();
    while (reader.more) {
      const tag = reader.tag();
      if (tag === 0x08) row.inputTokens = reader.int32();
      else if (tag === 0x10) row.cacheReadTokens = reader.int32();
      else if (tag === 0x18) row.cacheWriteTokens = reader.int32();
      else if (tag === 0x20) row.cacheWrite1hTokens = reader.int32();
      else if (tag === 0x28) row.inputAudioTokens = reader.int32();
      else if (tag === 0x30) row.outputTokens = reader.int32();
      else if (tag === 0x38) row.reasoningTokens = reader.int32();
      else if (tag === 0x40) row.outputAudioTokens = reader.int32();
      else skipOther(reader, tag, COUNTS);
    }
    reader.leave(outer);
  }

  #readLabel(reader: RecordReader): void {
    let name = "";
    let value = "";
    const outer = reader.enter();
    while (reader.more) {
      const tag = reader.tag();
      if (tag === 0x0a) name = reader.text();
      else if (tag === 0x12) value = reader.text();
      else throw UNUSUAL;
    }
    reader.leave(outer);
    this.#labels ??= [];
    for (const [known] of this.#labels) if (known === name) throw UNUSUAL;
    this.#labels.push([name, value]);
  }
}

/** The counts of a usage, fields 1 to 8. */
const COUNTS = 0x1fe;

function skipOther(reader: RecordReader, tag: number, read: number): void {
  const field = tag >>> 3;
  if (field === 0 || (field < 32 && (read & (1 << field)) !== 0)) throw UNUSUAL;
  reader.skip(tag);
}
