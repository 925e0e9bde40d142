import type { DescEnum, DescField, DescMessage } from "@bufbuild/protobuf";

/**
 * The values of an enum that a message holds at any depth, as JSON has them, without the zero; none
 * when it holds no such enum.
 */
export function listEnumWords(schema: DescMessage, typeName: string): string[] {
  const seen = new Set<string>();
  const search = (message: DescMessage): DescEnum | undefined => {
    if (seen.has(message.typeName)) return undefined;
    seen.add(message.typeName);
    for (const field of message.fields) {
      const { enum: held, message: below } = typesOf(field);
      if (held?.typeName === typeName) return held;
      const found = below === undefined ? undefined : search(below);
      if (found !== undefined) return found;
    }
    return undefined;
  };
  const values = search(schema)?.values ?? [];
  return values.filter(({ number }) => number !== 0).map(({ name }) => name);
}

function typesOf(field: DescField): {
  readonly enum?: DescEnum | undefined;
  readonly message?: DescMessage | undefined;
} {
  return { enum: field.enum, message: field.message };
}
