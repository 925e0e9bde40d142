import type { Frame } from "./frame-reader.ts";
import * as frame from "./frames.ts";
import { breach } from "./frames.ts";

/** Where the padding of a frame begins, and with it its content ends. */
export function contentEnd(taken: Frame): number {
  if ((taken.flags & frame.PADDED) === 0) return taken.end;
  const padding = taken.bytes[taken.start];
  const end = taken.end - (padding ?? 0);
  if (padding === undefined || taken.start >= taken.end || end <= taken.start) {
    breach("A frame's padding is longer than the frame.");
  }
  return end;
}

/** Where the content of a frame begins, behind the padding's length. */
export function contentStart(taken: Frame): number {
  return (taken.flags & frame.PADDED) === 0 ? taken.start : taken.start + 1;
}
