/**
 * A peer broke the compression (RFC 7541). What both ends hold in their tables can no longer be
 * known, so the connection must end with COMPRESSION_ERROR.
 */
export class HpackError extends Error {
  override readonly name = "HpackError";
}
