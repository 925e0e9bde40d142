import { crc32 } from "node:zlib";
import type { RequestRecord } from "../../gen/weir/admin/v1/record_pb.ts";
import { encodeRecord } from "./encode-record.ts";
import type { WireWriter } from "./wire-writer.ts";

/**
 * A frame of the journal: 4 bytes length, 4 bytes CRC-32 of length and payload, both the lowest
 * byte first; then the payload, one encoded record. No payload is empty: the zeros that a crash may
 * leave at a file's end are no frames.
 */
export const FRAME_HEADER_BYTES = 8;

/** Appends one record as a frame. */
export function appendFrame(writer: WireWriter, record: RequestRecord): void {
  const start = writer.reserve(FRAME_HEADER_BYTES);
  encodeRecord(writer, record);
  const length = writer.length - start - FRAME_HEADER_BYTES;
  writer.patchUint32(length, start);
  writer.patchUint32(checksum(writer.bytes, start, length), start + 4);
}

/** What a stretch of a journal holds. */
export interface Frames {
  /** Encoded records: views of the bytes that were split. */
  readonly payloads: readonly Buffer[];
  /** How far it was understood; what follows needs more bytes or more room in the batch. */
  readonly consumed: number;
  /** Bytes within it that are no frames. */
  readonly damaged: number;
}

/** How much to take at once; at least one record is taken, however large. */
export interface FrameLimits {
  readonly records: number;
  readonly bytes: number;
}

/**
 * Splits bytes into frames. Damaged bytes are skipped up to the next sound frame. When `atEnd`,
 * nothing follows, so that an unfinished frame is damage too; otherwise what is not understood is
 * left for the next stretch. Nothing consumed means: come back with more bytes from the same place
 * on.
 */
export function splitFrames(bytes: Buffer, limits: FrameLimits, atEnd: boolean): Frames {
  const payloads: Buffer[] = [];
  let offset = 0;
  let damaged = 0;
  let taken = 0;
  while (offset < bytes.length && payloads.length < limits.records) {
    const frame = judgeFrame(bytes, offset);
    if (frame === "unfinished" && !atEnd) break;
    if (typeof frame === "string") {
      const next = findFrame(bytes, offset + 1);
      // The next sound frame may lie across the end of this stretch.
      if (next === bytes.length && !atEnd) break;
      damaged += next - offset;
      offset = next;
      continue;
    }
    if (payloads.length > 0 && taken + frame.length > limits.bytes) break;
    taken += frame.length;
    payloads.push(frame);
    offset += FRAME_HEADER_BYTES + frame.length;
  }
  return { payloads, consumed: offset, damaged };
}

function judgeFrame(bytes: Buffer, offset: number): Buffer | "unfinished" | "damaged" {
  const start = offset + FRAME_HEADER_BYTES;
  if (start > bytes.length) return "unfinished";
  const length = bytes.readUInt32LE(offset);
  if (length === 0 || length > PAYLOAD_BYTES_MAX) return "damaged";
  if (start + length > bytes.length) return "unfinished";
  const sound = checksum(bytes, offset, length) === bytes.readUInt32LE(offset + 4);
  return sound ? bytes.subarray(start, start + length) : "damaged";
}

function findFrame(bytes: Buffer, from: number): number {
  for (let offset = from; offset + FRAME_HEADER_BYTES < bytes.length; offset++) {
    if (typeof judgeFrame(bytes, offset) !== "string") return offset;
  }
  return bytes.length;
}

/** The length is the seed, so that a frame whose length was damaged never fits by chance. */
function checksum(bytes: Buffer, frameStart: number, length: number): number {
  const start = frameStart + FRAME_HEADER_BYTES;
  return crc32(bytes.subarray(start, start + length), length);
}

const PAYLOAD_BYTES_MAX = 32 * 1024 * 1024;
