import { rollupTables } from "./usage-rollup.ts";

/** A span of time, and the table that answers for it best. Bounds that are infinite are none. */
export interface UsageSegment {
  readonly table: "requests" | keyof typeof rollupTables;
  readonly startMs: number;
  /** Exclusive. */
  readonly endMs: number;
}

/** A span of time in milliseconds since 1970; the end is exclusive, and undefined is no bound. */
export interface UsageSpan {
  readonly startMs: number | undefined;
  readonly endMs: number | undefined;
}

/**
 * Cuts a span into whole days, whole hours around them, and what is left at its ends, so that a
 * year is added up from days and not from requests. `coarsest` is the largest step that the
 * question allows.
 */
export function cutSpan(span: UsageSpan, coarsest: "hour" | "day"): readonly UsageSegment[] {
  const startMs = span.startMs ?? Number.NEGATIVE_INFINITY;
  const endMs = span.endMs ?? Number.POSITIVE_INFINITY;
  const cutHours = (startMs: number, endMs: number) =>
    coarsest === "hour"
      ? list({ table: "usage_hours", startMs, endMs })
      : cut({ startMs, endMs, table: "usage_days" }, (a, b) =>
          list({ table: "usage_hours", startMs: a, endMs: b }),
        );
  return cut({ startMs, endMs, table: "usage_hours" }, rest, cutHours);
}

const rest = (startMs: number, endMs: number) => list({ table: "requests", startMs, endMs });

type CutEnd = (startMs: number, endMs: number) => readonly UsageSegment[];

/**
 * What of a span are whole steps of a table is for `inner`; what is left at its ends for `ends`.
 */
function cut(
  { table, startMs, endMs }: UsageSegment & { readonly table: keyof typeof rollupTables },
  ends: CutEnd,
  inner: CutEnd = (a, b) => list({ table, startMs: a, endMs: b }),
): readonly UsageSegment[] {
  const stepMs = rollupTables[table];
  const first = Math.ceil(startMs / stepMs) * stepMs;
  const last = Math.floor(endMs / stepMs) * stepMs;
  if (first >= last) return ends(startMs, endMs);
  return [...ends(startMs, first), ...inner(first, last), ...ends(last, endMs)];
}

function list(segment: UsageSegment): readonly UsageSegment[] {
  return segment.startMs < segment.endMs ? [segment] : [];
}
