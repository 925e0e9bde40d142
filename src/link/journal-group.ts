import type { Segment } from "./segments.ts";
import { WireWriter } from "./wire-writer.ts";

/** Records that go to disk together; all who wait for them share one promise. */
export interface Group {
  readonly writer: WireWriter;
  readonly done: Promise<void>;
  readonly resolve: () => void;
  records: number;
  /** True when nobody waits any more. */
  released: boolean;
}

/** A group with nothing in it yet. */
export function createGroup(writer = new WireWriter(GROUP_BYTES_KEPT)): Group {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { writer, done: promise, resolve, records: 0, released: false };
}

/** Makes a group's writer ready for another group. */
export function recycleWriter(group: Group): WireWriter {
  group.writer.reset(GROUP_BYTES_KEPT);
  return group.writer;
}

/** What waited in memory goes first; mostly nothing does. */
export function joinCarried(carried: readonly Segment[], bytes: Buffer): Buffer {
  if (carried.length === 0) return bytes;
  return Buffer.concat([...carried.flatMap((one) => one.memory ?? []), bytes]);
}

const GROUP_BYTES_KEPT = 128 * 1024;
