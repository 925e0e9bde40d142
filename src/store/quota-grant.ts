/** What decides how much a lease of a budget or of slots gets. All in the limit's unit. */
export interface GrantQuestion {
  readonly ceiling: number;
  /** What is spent, held and forfeited in all windows that count. */
  readonly used: number;
  /** What somebody else collects by a recall, and nobody shall snatch away. */
  readonly reserved: number;
  /** By how much the lease is overdrawn: the grant pays that first. */
  readonly debt: number;
  /** What waiting requests need; 0 when none waits. */
  readonly need: number;
  /** What the proxy would like to have. */
  readonly want: number;
  /** True to grant what is needed alone. */
  readonly scarce: boolean;
  /** How many proxies share. */
  readonly proxies: number;
}

/**
 * How much to grant: 0, or what is needed at least. Never more than is free, so that what is spent,
 * held and forfeited stays within the ceiling whatever a proxy asks for. One that only wishes gets
 * a part of what is free, so that something is left for the others.
 */
export function decideGrant(question: GrantQuestion): number {
  const { debt, need, proxies } = question;
  const room = question.ceiling - question.used - question.reserved;
  if (need > 0 && room + debt < need) return 0;
  const part = Math.floor(Math.max(0, room) / (2 * Math.max(1, proxies)));
  const wish = question.scarce ? 0 : Math.min(question.want, part);
  return Math.max(0, need, wish);
}
