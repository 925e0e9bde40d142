import {
  create,
  type DescField,
  type DescMessage,
  type MessageInitShape,
  type MessageShape,
  ScalarType,
} from "@bufbuild/protobuf";
import fc from "fast-check";

/**
 * Any message of a kind, for property tests: every field may be there or not, numbers and texts lie
 * around the places where their form on the wire changes, and nesting ends after `depth` levels.
 */
export function arbitraryMessage<Desc extends DescMessage>(
  schema: Desc,
  depth = 6,
): fc.Arbitrary<MessageShape<Desc>> {
  return arbitraryInit(schema, depth).map((init) => create(schema, init));
}

/** Any UTF-16, lone surrogates included. */
export const anyText: fc.Arbitrary<string> = fc.oneof(
  fc.string({ unit: "binary-ascii", maxLength: 40 }),
  fc.string({ unit: "binary", maxLength: 40 }),
  fc
    .array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 40 })
    .map((units) => String.fromCharCode(...units)),
  fc
    .tuple(
      fc.constantFrom("a", "é", "語", "😀", "\ufeff", "\ufffd", "\0"),
      fc.constantFrom(1, 23, 24, 25, 31, 32, 127, 128, 16_383),
    )
    .map(([letter, times]) => letter.repeat(times)),
);

const anyInt32 = fc.oneof(
  fc.constantFrom(0, 1, 127, 128, 2 ** 14, 2 ** 21, 2 ** 28 - 1, 2 ** 28, 2 ** 31 - 1, -1),
  fc.nat(300),
  fc.integer(),
);
const anyInt64 = fc.oneof(
  fc.constantFrom(0n, 1n, 2n ** 28n, 2n ** 32n, 2n ** 53n - 1n, 2n ** 53n, 2n ** 63n - 1n, -1n),
  fc.bigInt({ min: 0n, max: 10n ** 12n }),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
);

function arbitraryInit<Desc extends DescMessage>(
  schema: Desc,
  depth: number,
): fc.Arbitrary<MessageInitShape<Desc>> {
  const members: Record<string, fc.Arbitrary<unknown>> = {};
  for (const member of schema.members) {
    if (member.kind === "oneof") {
      const cases = member.fields.filter((field) => depth > 0 || field.fieldKind !== "message");
      const kinds = cases.map((field) =>
        arbitraryField(field, depth).map((value) => ({ case: field.localName, value })),
      );
      const unset: fc.Arbitrary<unknown> = fc.constant(undefined);
      members[member.localName] = fc.oneof(unset, ...kinds, ...kinds);
    } else if (depth > 0 || member.fieldKind === "scalar") {
      members[member.localName] = fc.option(arbitraryField(member, depth), { nil: undefined });
    }
  }
  // protobuf-es types what an initializer may be; that it is one is what the walk above sees to.
  return fc.record(members) as fc.Arbitrary<MessageInitShape<Desc>>;
}

function arbitraryField(field: DescField, depth: number): fc.Arbitrary<unknown> {
  switch (field.fieldKind) {
    case "scalar":
      return arbitraryScalar(field.scalar);
    case "enum":
      return fc.oneof(fc.nat(8), fc.nat(300));
    case "message":
      return arbitraryInit(field.message, depth - 1);
    case "list":
      return fc.array(arbitraryItem(field, depth), { maxLength: 3 });
    case "map": {
      const value: fc.Arbitrary<unknown> =
        field.mapKind === "scalar" ? arbitraryScalar(field.scalar) : fc.constant(0);
      return fc.dictionary(anyText, value, { maxKeys: 3, noNullPrototype: true });
    }
  }
}

function arbitraryItem(
  field: Extract<DescField, { fieldKind: "list" }>,
  depth: number,
): fc.Arbitrary<unknown> {
  switch (field.listKind) {
    case "scalar":
      return arbitraryScalar(field.scalar);
    case "enum":
      return fc.nat(8);
    case "message":
      return arbitraryInit(field.message, depth - 1);
  }
}

function arbitraryScalar(type: ScalarType): fc.Arbitrary<unknown> {
  switch (type) {
    case ScalarType.STRING:
      return anyText;
    case ScalarType.BOOL:
      return fc.boolean();
    case ScalarType.BYTES:
      return fc.uint8Array({ maxLength: 200 });
    case ScalarType.DOUBLE:
      return fc.double();
    case ScalarType.FLOAT:
      return fc.float();
    case ScalarType.INT64:
      return anyInt64;
    case ScalarType.INT32:
      return anyInt32;
    default:
      throw new Error(`No field that is tested has a scalar of type ${type}.`);
  }
}
