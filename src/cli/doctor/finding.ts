/** One thing that was looked at. */
export interface Finding {
  /** `good`; `doubtful`, which may be as it is; `broken`, which must be mended. */
  readonly state: "good" | "doubtful" | "broken";
  /** What was found, in a sentence. */
  readonly what: string;
  /** How to mend it. Empty when all is well. */
  readonly mend: string;
  /** What a proxy said, when that is what was found. */
  readonly fault?: string;
}

export function good(what: string): Finding {
  return { state: "good", what, mend: "" };
}

export function doubtful(what: string, mend: string): Finding {
  return { state: "doubtful", what, mend };
}

export function broken(what: string, mend: string): Finding {
  return { state: "broken", what, mend };
}

const NAMES_SHOWN = 5;

/** The first names of many. */
export function listSome(names: readonly string[]): string {
  const more = names.length - NAMES_SHOWN;
  return names.slice(0, NAMES_SHOWN).join(", ") + (more > 0 ? ` and ${more} more` : "");
}
