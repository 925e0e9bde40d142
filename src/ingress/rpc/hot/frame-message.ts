import { type DescMessage, type MessageShape, toBinary } from "@bufbuild/protobuf";

/**
 * A gRPC message is prefixed by a byte that says whether it is compressed, and four that say how
 * long it is.
 */
export const FRAME_PREFIX_BYTES = 5;

/** One message in gRPC framing, not compressed. */
export function frameMessage<Desc extends DescMessage>(
  schema: Desc,
  message: MessageShape<Desc>,
): Buffer {
  const body = toBinary(schema, message);
  const frame = Buffer.allocUnsafe(FRAME_PREFIX_BYTES + body.length);
  frame[0] = 0;
  frame.writeUInt32BE(body.length, 1);
  frame.set(body, FRAME_PREFIX_BYTES);
  return frame;
}
