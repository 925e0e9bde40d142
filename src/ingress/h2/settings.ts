import { breach, ConnectionError, ErrorCode, WINDOW_BYTES_MAX } from "./frames.ts";
import { STREAM_WINDOW_BYTES } from "./h2-stream.ts";

/** An id and a value. */
export const SETTING_BYTES = 6;
/** Streams that one connection may have open at once. */
export const STREAMS_MAX = 1000;
/** A request's header fields, counted as RFC 9113, 6.5.2 does. */
export const HEADER_LIST_BYTES_MAX = 32 * 1024;
/** What a peer may have us remember of its fields; as long as nothing is said, it is this. */
export const HEADER_TABLE_BYTES = 4096;

const HEADER_TABLE_SIZE = 0x1;
const ENABLE_PUSH = 0x2;
const MAX_CONCURRENT_STREAMS = 0x3;
const INITIAL_WINDOW_SIZE = 0x4;
const MAX_FRAME_SIZE = 0x5;
const MAX_HEADER_LIST_SIZE = 0x6;

/** What we tell each peer at first. */
export const ourSettings: ReadonlyArray<readonly [id: number, value: number]> = [
  [ENABLE_PUSH, 0],
  [MAX_CONCURRENT_STREAMS, STREAMS_MAX],
  [INITIAL_WINDOW_SIZE, STREAM_WINDOW_BYTES],
  [MAX_HEADER_LIST_SIZE, HEADER_LIST_BYTES_MAX],
];

/** Who heeds a peer's settings. */
export interface SettingsTaker {
  takeTableSize(bytes: number): void;
  takeStreamWindow(bytes: number): void;
}

/**
 * Reads the settings in a frame's payload, in order. Throws ConnectionError for impossible ones.
 */
export function readSettings(bytes: Buffer, start: number, end: number, to: SettingsTaker): void {
  if ((end - start) % SETTING_BYTES !== 0) {
    throw new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, "SETTINGS is cut off.");
  }
  for (let at = start; at < end; at += SETTING_BYTES) {
    const value = bytes.readUInt32BE(at + 2);
    switch (bytes.readUInt16BE(at)) {
      case HEADER_TABLE_SIZE:
        to.takeTableSize(value);
        break;
      case ENABLE_PUSH:
        if (value > 1) breach("ENABLE_PUSH is 0 or 1.");
        break;
      case INITIAL_WINDOW_SIZE:
        if (value > WINDOW_BYTES_MAX) {
          throw new ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, "No window is that large.");
        }
        to.takeStreamWindow(value);
        break;
      case MAX_FRAME_SIZE:
        // Our frames are no longer than every peer must take; but nonsense is refused.
        if (value < 16_384 || value > 16_777_215) breach("MAX_FRAME_SIZE is out of its range.");
        break;
    }
  }
}
