import { create, equals, fromBinary, ScalarType } from "@bufbuild/protobuf";
import { type ReflectMessage, reflect } from "@bufbuild/protobuf/reflect";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type RequestRecord, RequestRecordSchema } from "../../gen/weir/admin/v1/record_pb.ts";
import { encodeRecord } from "./encode-record.ts";
import { WireWriter } from "./wire-writer.ts";

/**
 * Draws values for every field of a message, as its descriptor says; each message drawn is
 * complete.
 */
function fill(message: ReflectMessage, draw: Draw): ReflectMessage {
  for (const field of message.desc.fields) {
    switch (field.fieldKind) {
      case "scalar":
        message.set(field, draw.scalar(field.scalar));
        break;
      case "enum":
        message.set(field, field.enum.values[draw.below(field.enum.values.length)]?.number);
        break;
      case "message":
        message.set(field, fill(reflect(field.message), draw));
        break;
      case "list":
        for (let n = draw.below(3); n > 0; n--) {
          const item =
            field.listKind === "message" ? fill(reflect(field.message), draw) : draw.text();
          message.get(field).add(item);
        }
        break;
      case "map":
        for (let n = draw.below(3); n > 0; n--) {
          const value = field.mapKind === "scalar" ? draw.scalar(field.scalar) : undefined;
          message.get(field).set(draw.text(), value);
        }
        break;
    }
  }
  return message;
}

interface Draw {
  below(limit: number): number;
  text(): string;
  scalar(type: ScalarType): string | number | bigint | boolean;
}

function createDraw(gen: fc.GeneratorValue): Draw {
  const text = () =>
    gen(() =>
      fc.oneof(
        fc.string({ maxLength: 60 }),
        fc.string({ unit: "grapheme", maxLength: 200 }),
        fc.constant("é".repeat(70)),
      ),
    );
  return {
    below: (limit) => gen(fc.nat, limit - 1),
    text,
    scalar: (type) => {
      switch (type) {
        case ScalarType.STRING:
          return text();
        case ScalarType.BOOL:
          return gen(fc.boolean);
        case ScalarType.INT32:
          return gen(() => fc.integer());
        case ScalarType.INT64:
          return gen(() => fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }));
        default:
          throw new Error(`no encoder for scalar type ${type}`);
      }
    },
  };
}

function encode(record: RequestRecord): Buffer {
  const writer = new WireWriter(16);
  encodeRecord(writer, record);
  return Buffer.from(writer.bytes);
}

function roundTrip(record: RequestRecord): RequestRecord {
  return fromBinary(RequestRecordSchema, encode(record));
}

describe("encodeRecord()", () => {
  it("loses no field that the descriptor knows", () => {
    fc.assert(
      fc.property(fc.gen(), (gen) => {
        const record = create(RequestRecordSchema);
        fill(reflect(RequestRecordSchema, record), createDraw(gen));
        expect(equals(RequestRecordSchema, roundTrip(record), record)).toBe(true);
      }),
      { numRuns: 300 },
    );
  });

  it("keeps what is empty empty", () => {
    const empty = create(RequestRecordSchema);
    expect(encode(empty)).toHaveLength(0);
    expect(roundTrip(create(RequestRecordSchema, { timeToFirstTokenUs: 0n }))).toMatchObject({
      timeToFirstTokenUs: 0n,
    });
  });

  it("replaces halves of surrogate pairs, which UTF-8 cannot say", () => {
    expect(roundTrip(create(RequestRecordSchema, { endUser: "a\ud800b" })).endUser).toBe(
      "a\ufffdb",
    );
  });
});
