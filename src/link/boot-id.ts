import { readFileSync } from "node:fs";
import { uptime } from "node:os";
import type { Clock } from "../mesh/clock.ts";

/**
 * Names the run of the machine that this process is in: by the kernel's own name for it, and where
 * there is none by when it began.
 */
export function readBootId(clock: Pick<Clock, "wallMs">): string {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  } catch {
    return `${BEGAN}${Math.round(clock.wallMs() / 1000 - uptime())}`;
  }
}

/** True when two names mean the same run; in doubt they do not. */
export function isSameBoot(a: string, b: string): boolean {
  if (a === b) return a !== "";
  if (!a.startsWith(BEGAN) || !b.startsWith(BEGAN)) return false;
  const apart = Math.abs(Number(a.slice(BEGAN.length)) - Number(b.slice(BEGAN.length)));
  return apart < SECONDS_APART_MAX;
}

const BEGAN = "began-";
/** A clock that is set right moves the beginning a little; no machine starts twice so soon. */
const SECONDS_APART_MAX = 10;
