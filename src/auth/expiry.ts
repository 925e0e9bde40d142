import type { Timestamp } from "@bufbuild/protobuf/wkt";

/** Whether a time of expiry has passed; an unset one never does. */
export function isPast(time: Timestamp | undefined, nowWallMs: number): boolean {
  if (time === undefined) return false;
  return Number(time.seconds) * 1000 + time.nanos / 1e6 <= nowWallMs;
}
