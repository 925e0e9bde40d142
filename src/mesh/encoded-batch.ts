import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { type RequestRecord, RequestRecordSchema } from "../../gen/weir/admin/v1/record_pb.ts";

/** Fields of weir.link.v1.RecordBatch. */
const SEQUENCE = 1;
const RECORDS = 2;

/**
 * A weir.link.v1.RecordBatch as it came: whoever keeps records needs little of them, and all of
 * their bytes.
 */
export class EncodedBatch {
  readonly bytes: Uint8Array;
  readonly sequence: bigint;
  /** Each record, encoded: views of `bytes`. */
  readonly records: readonly Buffer[];

  /** Throws where the batch is malformed; its records are not looked at. */
  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const reader = new BinaryReader(buffer);
    const records: Buffer[] = [];
    let sequence: bigint | string = 0n;
    while (reader.pos < reader.len) {
      const [field, type] = reader.tag();
      if (field === RECORDS && type === WireType.LengthDelimited) {
        const length = reader.uint32();
        const begin = reader.pos;
        if (length > reader.len - begin) throw new RangeError("A record ends behind its batch.");
        reader.pos = begin + length;
        records.push(buffer.subarray(begin, reader.pos));
      } else if (field === SEQUENCE && type === WireType.Varint) {
        sequence = reader.int64();
      } else {
        reader.skip(type, field);
      }
    }
    this.sequence = BigInt(sequence);
    this.records = records;
  }

  /** A batch of these records, without a number. */
  static of(records: readonly RequestRecord[]): EncodedBatch {
    const writer = new BinaryWriter();
    for (const record of records) {
      writer.tag(RECORDS, WireType.LengthDelimited).bytes(toBinary(RequestRecordSchema, record));
    }
    return new EncodedBatch(writer.finish());
  }

  /** How many records it has. */
  get length(): number {
    return this.records.length;
  }

  /** The first record, decoded; undefined when there is none. Throws where it is malformed. */
  first(): RequestRecord | undefined {
    const [first] = this.records;
    return first && fromBinary(RequestRecordSchema, first);
  }

  /** All records, decoded. Throws where one is malformed. */
  decode(): readonly RequestRecord[] {
    return this.records.map((record) => fromBinary(RequestRecordSchema, record));
  }
}
