import type { CalendarUnit, LimitWindow } from "./limit.ts";
import { findTransition, readOffset } from "./zone-offset.ts";

/** A stretch of time over which a budget counts, in milliseconds since 1970. */
export interface TimeWindow {
  readonly startMs: number;
  /** The first moment that is no longer in it; Infinity for never. */
  readonly endMs: number;
  /** Windows that begin from here on count against the ceiling too. */
  readonly horizonMs: number;
}

/**
 * The window that a moment belongs to. Windows of one kind touch and never overlap, whatever the
 * clocks of the time zone do: a day begins when its date is first reached, and where clocks are put
 * back, hours and minutes that come twice are two windows. A rolling window is counted in days.
 * Throws RangeError for an unknown time zone, and for a moment that no calendar reaches.
 */
export function findWindow(window: LimitWindow, atMs: number): TimeWindow {
  if (window.kind === "lifetime") return lifetime;
  const key =
    window.kind === "rolling"
      ? `${window.days}@${window.timeZone}`
      : `${window.unit}@${window.timeZone}`;
  const known = found.get(key);
  if (known !== undefined && atMs >= known.startMs && atMs < known.endMs) return known;
  if (!(Math.abs(atMs) <= MOMENT_MAX)) throw new RangeError(`${atMs} is in no calendar.`);
  const fresh = computeWindow(window, atMs);
  if (found.size >= FOUND_MAX) found.clear();
  found.set(key, fresh);
  return fresh;
}

const lifetime: TimeWindow = { startMs: 0, endMs: Number.POSITIVE_INFINITY, horizonMs: 0 };

/** The window found last, by kind and zone: nearly always the one that is asked for next. */
const found = new Map<string, TimeWindow>();
const FOUND_MAX = 4096;

const DAY_MS = 86_400_000;
/** Some years before the last moment of a Date, so that its window has an end. */
const MOMENT_MAX = 8.6e15;

function computeWindow(
  window: Exclude<LimitWindow, { readonly kind: "lifetime" }>,
  atMs: number,
): TimeWindow {
  const { timeZone } = window;
  if (window.kind === "rolling") {
    const { startMs, endMs, day } = findSpan(timeZone, "day", atMs);
    return { startMs, endMs, horizonMs: findDayStart(timeZone, day - window.days + 1) };
  }
  const { unit } = window;
  const { startMs, endMs } =
    unit === "minute" || unit === "hour"
      ? findClockSpan(timeZone, unit === "hour" ? 3_600_000 : 60_000, atMs)
      : findSpan(timeZone, unit, atMs);
  return { startMs, endMs, horizonMs: startMs };
}

/** A part of a day: cut where the clocks are changed, so that it has no hole and comes once. */
function findClockSpan(timeZone: string, lengthMs: number, atMs: number) {
  const offset = readOffset(timeZone, atMs);
  const begin = Math.floor((atMs + offset) / lengthMs) * lengthMs - offset;
  const end = begin + lengthMs;
  const cutBefore = readOffset(timeZone, begin) !== offset;
  const cutBehind = readOffset(timeZone, end - 1) !== offset;
  return {
    startMs: cutBefore ? findTransition(timeZone, begin, atMs) : begin,
    endMs: cutBehind ? findTransition(timeZone, atMs, end - 1) : end,
  };
}

/** Days, and what is made of them. */
function findSpan(timeZone: string, unit: Exclude<CalendarUnit, "minute" | "hour">, atMs: number) {
  let day = firstDayOf(unit, Math.floor((atMs + readOffset(timeZone, atMs)) / DAY_MS));
  for (;;) {
    const next = nextFirstDay(unit, day);
    const endMs = findDayStart(timeZone, next);
    // Clocks that are put back at midnight show the day before once more: it has ended already.
    if (endMs > atMs) return { startMs: findDayStart(timeZone, day), endMs, day };
    day = next;
  }
}

/** The first moment at which a zone's date is this day (counted from 1970) or a later one. */
function findDayStart(timeZone: string, day: number): number {
  const midnight = day * DAY_MS;
  const from = midnight - NEIGHBOURHOOD_MS;
  const to = midnight + NEIGHBOURHOOD_MS;
  const before = readOffset(timeZone, from);
  const after = readOffset(timeZone, to);
  if (before === after) return midnight - before;
  const transition = findTransition(timeZone, from, to);
  if (midnight - before < transition) return midnight - before;
  return Math.max(transition, midnight - after);
}

/** No zone is further from UTC, and none changes its clocks twice in so short a time. */
const NEIGHBOURHOOD_MS = 16 * 3_600_000;

function firstDayOf(unit: CalendarUnit, day: number): number {
  // The first day of 1970 was a Thursday.
  if (unit === "week") return Math.floor((day + 3) / 7) * 7 - 3;
  if (unit === "day") return day;
  const date = new Date(day * DAY_MS);
  return toDay(date.getUTCFullYear(), date.getUTCMonth() - (date.getUTCMonth() % monthsOf(unit)));
}

function nextFirstDay(unit: CalendarUnit, firstDay: number): number {
  if (unit === "week") return firstDay + 7;
  if (unit === "day") return firstDay + 1;
  const date = new Date(firstDay * DAY_MS);
  return toDay(date.getUTCFullYear(), date.getUTCMonth() + monthsOf(unit));
}

function monthsOf(unit: CalendarUnit): number {
  if (unit === "year") return 12;
  return unit === "quarter" ? 3 : 1;
}

function toDay(year: number, month: number): number {
  return Date.UTC(year, month) / DAY_MS;
}
