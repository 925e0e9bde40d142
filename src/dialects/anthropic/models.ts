/**
 * What a generation of Claude models takes. Gathered here, since vendors refuse what a generation
 * does not know.
 */
export interface ModelTraits {
  /** Thinks by `adaptive` and an effort. Older ones think by a budget. */
  readonly adaptive: boolean;
  /** Takes a budget of tokens to think with. */
  readonly budget: boolean;
  /** Takes `temperature`, `top_p` and `top_k`. */
  readonly sampling: boolean;
  /** Takes system messages within the conversation. */
  readonly systemTurns: boolean;
}

/**
 * The traits of an upstream's model by its name. What is no Claude is taken for an old one: servers
 * copy the old form.
 */
export function findTraits(model: string): ModelTraits {
  const version = parseVersion(model);
  return {
    adaptive: version >= 406,
    budget: version < 407,
    sampling: version < 407,
    systemTurns: version >= 408,
  };
}

/**
 * Family and version, as in `claude-opus-4-7`, `claude-sonnet-4-5-20250929`,
 * `anthropic.claude-opus-5-v1`.
 */
const NEW_FORM = /claude-([a-z]+)-(\d{1,2})(?:[-.](\d{1,2})(?!\d))?(?!\d)/;
/** Version and family, as in `claude-3-7-sonnet-20250219`. */
const OLD_FORM = /claude-(\d)(?:[-.](\d))?-[a-z]/;

/**
 * Hundred times the major version plus the minor one; 0 when the name tells none, 9999 for a new
 * family without.
 */
function parseVersion(model: string): number {
  const old = OLD_FORM.exec(model);
  if (old !== null) return Number(old[1]) * 100 + Number(old[2] ?? 0);
  const recent = NEW_FORM.exec(model);
  if (recent !== null) return Number(recent[2]) * 100 + Number(recent[3] ?? 0);
  return /claude-(fable|mythos)/.test(model) ? 9999 : 0;
}
