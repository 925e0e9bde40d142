import { MeshError } from "../../../mesh/errors.ts";

/**
 * Decodes a request's message with `decode`. Throws INVALID_REQUEST when the bytes are no message
 * of the kind that `schema` describes.
 */
export function parseMessage<Schema extends { readonly typeName: string }, Decoded>(
  decode: (schema: Schema, bytes: Buffer) => Decoded,
  schema: Schema,
  bytes: Buffer,
): Decoded {
  try {
    return decode(schema, bytes);
  } catch (thrown) {
    const text = `The message is no ${schema.typeName}. Encode it from the published proto files.`;
    throw new MeshError("INVALID_REQUEST", text, { cause: thrown });
  }
}
