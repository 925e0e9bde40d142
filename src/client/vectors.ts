import type { EmbedResponse } from "../../gen/weir/v1/embed_service_pb.ts";
import { WeirError } from "./weir-error.ts";

/**
 * The vectors of an answer by the number of their input, whatever form they came in. Throws a
 * WeirError when one is missing.
 */
export function readVectors(answer: EmbedResponse, count: number): Float32Array[] {
  const vectors = new Map<number, Float32Array>();
  for (const { index, values, littleEndian } of answer.embeddings) {
    vectors.set(
      index,
      littleEndian.length > 0 ? readFloats(littleEndian) : Float32Array.from(values),
    );
  }
  return Array.from({ length: count }, (_, index) => {
    const vector = vectors.get(index);
    if (vector !== undefined) return vector;
    const message = `The answer has no vector for input ${index}.`;
    throw new WeirError({ reason: "UPSTREAM_GARBLED", code: 13, message });
  });
}

/** Copied, since the bytes stand anywhere in the message and floats must be aligned. */
function readFloats(bytes: Uint8Array): Float32Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const floats = new Float32Array(Math.floor(bytes.byteLength / 4));
  for (let index = 0; index < floats.length; index++) {
    floats[index] = view.getFloat32(index * 4, true);
  }
  return floats;
}
