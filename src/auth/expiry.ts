import type { Timestamp } from "@bufbuild/protobuf/wkt";

/** Whether a time of expiry has passed; an unset one never does. */
export function isPast(time: Timestamp | undefined, nowWallMs: number): boolean {
  return wallMsOf(time) <= nowWallMs;
}

/** A time of expiry on Clock.wallMs(); infinity for an unset one. */
export function wallMsOf(time: Timestamp | undefined): number {
  if (time === undefined) return Number.POSITIVE_INFINITY;
  return Number(time.seconds) * 1000 + time.nanos / 1e6;
}
