/** Vectors travel as little-endian float32, which is how every machine that runs Node has them. */
export function readFloats(littleEndian: Uint8Array): Float32Array {
  // A copy, since a view needs an address that is a multiple of four.
  return new Float32Array(Uint8Array.from(littleEndian).buffer);
}

export function writeFloats(values: readonly number[]): Uint8Array {
  return new Uint8Array(Float32Array.from(values).buffer);
}
