import { type DescMessage, fromBinary, type MessageShape } from "@bufbuild/protobuf";
import { MeshError } from "../../../mesh/errors.ts";

/** Decodes a request's message. Throws INVALID_REQUEST when the bytes are none. */
export function parseMessage<Desc extends DescMessage>(
  schema: Desc,
  bytes: Uint8Array,
): MessageShape<Desc> {
  try {
    return fromBinary(schema, bytes);
  } catch (thrown) {
    const text = `The message is no ${schema.typeName}. Encode it from the published proto files.`;
    throw new MeshError("INVALID_REQUEST", text, { cause: thrown });
  }
}
