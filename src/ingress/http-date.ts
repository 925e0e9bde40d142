import { systemClock } from "../mesh/clock.ts";

let text = "";
let untilMs = 0;

/** The time as header fields tell it, worked out once a second. */
export function formatHttpDate(): string {
  const nowMs = systemClock.wallMs();
  if (nowMs >= untilMs || nowMs < untilMs - 1000) {
    text = new Date(nowMs).toUTCString();
    untilMs = nowMs - (nowMs % 1000) + 1000;
  }
  return text;
}
