/** The types of frames, RFC 9113, section 6. */
export const DATA = 0x0;
export const HEADERS = 0x1;
export const PRIORITY = 0x2;
export const RST_STREAM = 0x3;
export const SETTINGS = 0x4;
export const PUSH_PROMISE = 0x5;
export const PING = 0x6;
export const GOAWAY = 0x7;
export const WINDOW_UPDATE = 0x8;
export const CONTINUATION = 0x9;

/** Flags; what they mean depends on the frame's type. */
export const END_STREAM = 0x1;
export const ACK = 0x1;
export const END_HEADERS = 0x4;
export const PADDED = 0x8;
export const HAS_PRIORITY = 0x20;

/** What stands before each payload. */
export const FRAME_HEAD_BYTES = 9;
/**
 * The longest payload that both sides send. No peer may set less for itself, and more would let one
 * stream keep the others waiting.
 */
export const PAYLOAD_BYTES_MAX = 16_384;
/** The largest flow-control window there is. */
export const WINDOW_BYTES_MAX = 2 ** 31 - 1;
/** What a window is before anybody has said otherwise. */
export const WINDOW_BYTES_DEFAULT = 65_535;
/** In a GOAWAY: every stream that the peer has begun is still served. */
export const STREAM_ID_MAX = 2 ** 31 - 1;

/** Why a stream or a connection ends, RFC 9113, section 7. */
export const ErrorCode = {
  NO_ERROR: 0x0,
  PROTOCOL_ERROR: 0x1,
  INTERNAL_ERROR: 0x2,
  FLOW_CONTROL_ERROR: 0x3,
  STREAM_CLOSED: 0x5,
  FRAME_SIZE_ERROR: 0x6,
  REFUSED_STREAM: 0x7,
  CANCEL: 0x8,
  COMPRESSION_ERROR: 0x9,
  ENHANCE_YOUR_CALM: 0xb,
} as const;

export type ErrorCode = (typeof ErrorCode)[keyof typeof ErrorCode];

/** What a peer did that its connection cannot survive. */
export class ConnectionError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

/** Throws the error of a peer that broke the protocol's grammar. */
export function breach(message: string): never {
  throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, message);
}
