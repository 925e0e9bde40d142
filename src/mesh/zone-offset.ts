/**
 * How far the clocks of a zone are before UTC at a moment, in milliseconds. Throws RangeError for
 * an unknown zone.
 */
export function readOffset(timeZone: string, atMs: number): number {
  if (timeZone === "UTC") return 0;
  const wholeMs = Math.floor(atMs / 1000) * 1000;
  const fields = { year: 0, month: 1, day: 1, hour: 0, minute: 0, second: 0 };
  for (const { type, value } of formatterOf(timeZone).formatToParts(wholeMs)) {
    if (type in fields) Object.assign(fields, { [type]: Number(value) });
  }
  const { year, month, day, hour, minute, second } = fields;
  return Date.UTC(year, month - 1, day, hour, minute, second) - wholeMs;
}

/**
 * The first moment after `fromMs`, and not after `toMs`, from which the offset is that of `toMs`.
 * The offset changes once in between.
 */
export function findTransition(timeZone: string, fromMs: number, toMs: number): number {
  const after = readOffset(timeZone, toMs);
  // Clocks change on whole seconds.
  let before = Math.floor(fromMs / 1000);
  let behind = Math.ceil(toMs / 1000);
  while (behind - before > 1) {
    const middle = Math.floor((before + behind) / 2);
    if (readOffset(timeZone, middle * 1000) === after) behind = middle;
    else before = middle;
  }
  return behind * 1000;
}

/** Whether a name is that of a time zone. */
export function isTimeZone(timeZone: string): boolean {
  // Offsets such as +01:00 are taken by Intl, and are no zones that people live in.
  if (!/^[A-Za-z][A-Za-z0-9_+/-]{0,63}$/.test(timeZone)) return false;
  try {
    formatterOf(timeZone);
    return true;
  } catch {
    return false;
  }
}

/** A formatter takes long to make. */
const formatters = new Map<string, Intl.DateTimeFormat>();
const FORMATTERS_MAX = 1000;

function formatterOf(timeZone: string): Intl.DateTimeFormat {
  const known = formatters.get(timeZone);
  if (known !== undefined) return known;
  const formatter = new Intl.DateTimeFormat("en-US", {
    timeZone,
    calendar: "iso8601",
    numberingSystem: "latn",
    hourCycle: "h23",
    year: "numeric",
    month: "numeric",
    day: "numeric",
    hour: "numeric",
    minute: "numeric",
    second: "numeric",
  });
  if (formatters.size >= FORMATTERS_MAX) formatters.clear();
  formatters.set(timeZone, formatter);
  return formatter;
}
