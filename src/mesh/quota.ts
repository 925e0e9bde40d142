import type {
  QuotaRecall,
  QuotaReply,
  QuotaReport,
} from "../../gen/weir/link/v1/link_service_pb.ts";
import type { Cost, Usage } from "../../gen/weir/v1/usage_pb.ts";
import type { ChatAsk, EmbedAsk } from "./ask.ts";
import type { Call } from "./call.ts";
import type { Leg } from "./grant.ts";
import type { BoundLimit } from "./limit.ts";
import type { Target } from "./target.ts";

/** The quota room, as routing uses it. */
export interface Quota {
  /**
   * Begins to account for a call. Costs nothing while none of its legs has limits: routing asks for
   * reservations only where `leg.limits` has some.
   */
  begin(call: Call, ask: ChatAsk | EmbedAsk): CallQuota;
}

/** What one call has taken from its buckets. */
export interface CallQuota {
  /**
   * Takes what one attempt may cost at most from every limit of the leg that concerns the target,
   * or nothing from any. Requests and slots are taken once a call, by whichever attempt comes
   * first. At once when the leases suffice; else a promise of one bounded refill. Throws or rejects
   * with BUDGET_EXHAUSTED, RATE_LIMITED (the ledger said no), QUOTA_UNAVAILABLE (nobody can prove
   * that anything is left), or PRICE_UNKNOWN (nothing tells what the target would cost).
   */
  reserve(leg: Leg, target: Target): Reservation | Promise<Reservation>;
  /** The call is over: its slots are free. Once. */
  end(): void;
  /**
   * The tightest rates that the call was counted in, for the headers of its answer; undefined where
   * no rate concerns it. Never throws, also when the call is over.
   */
  rates?(): RateStates | undefined;
}

/** Rates of requests and of tokens; undefined where none concerns the call. */
export interface RateStates {
  readonly requests: RateState | undefined;
  readonly tokens: RateState | undefined;
}

/** One rate, as a caller is told of it. */
export interface RateState {
  readonly limit: number;
  readonly remaining: number;
  /** When all of it is there again, in milliseconds from now. */
  readonly resetMs: number;
}

/**
 * As `Finish.raw`: Weir itself has ended the answer, with the reason `length`, because a budget had
 * no more for it.
 */
export const QUOTA_FINISH = "weir_quota";

/** What one attempt has taken. Exactly one of settle() and release() ends it. */
export interface Reservation {
  /**
   * The most output tokens of one answer, to be written into the upstream's request in place of a
   * higher limit, of none, or of one that is not positive. Undefined leaves the request as it is.
   */
  readonly outputTokensMax: number | undefined;
  /** The policy that lowered the caller's own output limit, or empty. */
  readonly clampedBy: string;
  /** Policies that nobody could prove to have anything left and that allow it. */
  readonly unprovenBy: readonly string[];
  /**
   * There where only the beginning of a long answer is taken yet. Takes more, so that so many
   * output tokens, of all answers of the attempt together, may have been produced at most: to be
   * called with each chunk before it goes on. At once, and cheap. False when no more is to be had:
   * the answer must end here, and `clampedBy` names the policy. A promise when the ledger has to be
   * asked first: call it again when that has resolved; it never rejects.
   */
  cover?(outputTokensMost: number): boolean | Promise<void>;
  /**
   * The attempt used this much, as the vendor counted or as far as can be told; undefined when
   * nobody counted: then all that was taken is spent.
   */
  settle(usage: Usage | undefined, cost: Cost | undefined): void;
  /** Provably nothing was billed: everything comes back. */
  release(): void;
}

/** The quota room, as the link uses it. All calls are synchronous. */
export interface QuotaLink {
  /** A connection stands: `send` takes a report, and is not called after disconnected(). */
  connected(send: (report: QuotaReport) => void): void;
  disconnected(): void;
  reply(reply: QuotaReply): void;
  recall(recall: QuotaRecall): void;
  /** What is wrong and what to do, in a sentence; undefined when all is well. */
  fault?(): string | undefined;
}

/** Where a proxy keeps, before it reserves, how far it may have spent when it is killed. */
export interface Watermarks {
  /**
   * Writes that each of these leases may be spent up to `usedMax`, in a form that survives a
   * kill -9, before it returns. A later mark of a lease replaces the one before, also where it is
   * lower. Throws when the disk fails; then the marks before still stand.
   */
  raise(marks: readonly Watermark[]): void;
  /** What earlier epochs left, to be confessed. */
  readonly left: readonly LeftEpoch[];
  /** The confession is safe: forgets these epochs, of this proxy or of another. */
  forget(epochs: readonly number[], proxyId?: string): void;
  /** The epochs in which replies came; written once an epoch. 0 means none. */
  readonly previousEpoch: number;
  noteReplied(): void;
  /** Everything of this epoch is settled and given back: it leaves nothing to confess. */
  done?(): void;
}

export interface Watermark {
  readonly bucket: string;
  readonly windowStartMs: number;
  readonly usedMax: number;
}

/** What an epoch that ended without a farewell may have spent. */
export interface LeftEpoch {
  /** A proxy of this machine that will not come back; absent for this one. */
  readonly proxyId?: string;
  readonly epoch: number;
  /** False when the file is torn or the machine itself went down: pages may be lost. */
  readonly trusted: boolean;
  readonly marks: readonly Watermark[];
}

/** What a caller is told of one of its buckets. */
export interface BucketState {
  readonly bound: BoundLimit;
  /** Whether the ledger has been heard; else the rest is what stands in the policy. */
  readonly known: boolean;
  /** As the ledger last said. */
  readonly ceiling: number;
  /**
   * What is left as far as this proxy knows: of a budget, what the ledger last said that nobody has
   * spent, without what is under way here; else what it holds itself, and what nobody holds.
   */
  readonly remaining: number;
  /** When the window ends, in milliseconds from now; undefined for never. */
  readonly resetsInMs: number | undefined;
}
