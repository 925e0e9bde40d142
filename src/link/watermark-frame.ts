import { crc32 } from "node:zlib";
import type { Watermark } from "../mesh/quota.ts";

/**
 * A frame of a watermark file: 4 bytes length, 4 bytes CRC-32 of length and payload, both the
 * lowest byte first; then the payload, a JSON array. The first frame of a file is its head, the
 * second all marks that were known when it began, and each further one the marks of one admission.
 */
export const MARK_HEADER_BYTES = 8;

/** Where a file was written. */
export interface WatermarkHead {
  readonly epoch: number;
  /** Which run of the machine: what the system had in memory does not outlive it. */
  readonly boot: string;
}

/** What a file holds. */
export interface WatermarkFrames {
  /** Undefined when the file has not even that. */
  readonly head: WatermarkHead | undefined;
  /** By bucket and window; undefined when the file was not begun to its end. */
  readonly marks: ReadonlyMap<string, Watermark> | undefined;
  /**
   * False when a whole frame is damaged. A last frame that ends too early is no damage: nobody has
   * relied upon it.
   */
  readonly sound: boolean;
}

export function encodeHead(head: WatermarkHead): Buffer {
  return encodeFrame(JSON.stringify([head.epoch, head.boot]), 0);
}

/** With blanks up to so many bytes: to cover what a failed write has left behind. */
export function encodeMarks(marks: Iterable<Watermark>, bytesMin: number): Buffer {
  const rows: (string | number)[] = [];
  for (const { bucket, windowStartMs, usedMax } of marks) rows.push(bucket, windowStartMs, usedMax);
  return encodeFrame(JSON.stringify(rows), bytesMin);
}

export function decodeWatermarks(bytes: Buffer): WatermarkFrames {
  let head: WatermarkHead | undefined;
  let marks: Map<string, Watermark> | undefined;
  let offset = 0;
  while (offset < bytes.length) {
    const frame = readFrame(bytes, offset);
    if (frame === "unfinished") break;
    const value = frame === "damaged" ? undefined : parseArray(frame.payload);
    if (frame === "damaged" || value === undefined) return { head, marks, sound: false };
    offset = frame.next;
    if (head === undefined) {
      head = { epoch: Number(value[0]), boot: String(value[1]) };
      continue;
    }
    marks ??= new Map();
    applyMarks(marks, value);
  }
  return { head, marks, sound: true };
}

/** Lays marks over those before; one of 0 takes its lease out. */
export function layMark(marks: Map<string, Watermark>, mark: Watermark): void {
  const name = nameMark(mark.bucket, mark.windowStartMs);
  if (mark.usedMax > 0) marks.set(name, mark);
  else marks.delete(name);
}

function nameMark(bucket: string, windowStartMs: number): string {
  return `${windowStartMs} ${bucket}`;
}

function encodeFrame(text: string, bytesMin: number): Buffer {
  const length = Buffer.byteLength(text);
  const padded = Math.max(length, bytesMin - MARK_HEADER_BYTES);
  const frame = Buffer.alloc(MARK_HEADER_BYTES + padded, " ");
  frame.write(text, MARK_HEADER_BYTES);
  frame.writeUInt32LE(padded, 0);
  frame.writeUInt32LE(crc32(frame.subarray(MARK_HEADER_BYTES), padded), 4);
  return frame;
}

type Frame = { readonly payload: Buffer; readonly next: number };

function readFrame(bytes: Buffer, offset: number): Frame | "unfinished" | "damaged" {
  const start = offset + MARK_HEADER_BYTES;
  if (start > bytes.length) return "unfinished";
  const length = bytes.readUInt32LE(offset);
  if (length === 0 || length > PAYLOAD_BYTES_MAX) return "damaged";
  const next = start + length;
  if (next > bytes.length) return "unfinished";
  const payload = bytes.subarray(start, next);
  return crc32(payload, length) === bytes.readUInt32LE(offset + 4) ? { payload, next } : "damaged";
}

function applyMarks(marks: Map<string, Watermark>, rows: readonly unknown[]): void {
  for (let i = 0; i + 2 < rows.length; i += 3) {
    layMark(marks, {
      bucket: String(rows[i]),
      windowStartMs: Number(rows[i + 1]),
      usedMax: Number(rows[i + 2]),
    });
  }
}

function parseArray(payload: Buffer): readonly unknown[] | undefined {
  try {
    const value: unknown = JSON.parse(payload.toString());
    return Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

const PAYLOAD_BYTES_MAX = 256 * 1024 * 1024;
