import type { ChatAsk, EmbedAsk } from "../mesh/ask.ts";
import type { Call } from "../mesh/call.ts";
import { type Clock, pause } from "../mesh/clock.ts";
import { asMeshError, MeshError } from "../mesh/errors.ts";
import type { Grant, Leg } from "../mesh/grant.ts";
import type { Quota } from "../mesh/quota.ts";
import type { Random } from "../mesh/random.ts";
import type { Target } from "../mesh/target.ts";
import { AttemptLog } from "./attempt-log.ts";
import type { Breaker, Breakers } from "./breaker.ts";
import { watchDeadline } from "./deadline.ts";
import { planLeg } from "./plan.ts";
import { takeReservation } from "./reserve.ts";
import { followsFailure, judgeFailure } from "./verdict.ts";

/** Targets tried for one call, all legs together. */
const TARGETS_MAX = 8;
/** Time between two tries of the same target: full jitter below this, doubled with each try. */
const BACKOFF_MS = 100;
/** A vendor without capacity that does not say for how long. */
const BLOCKED_MS = 1_000;

/** What the attempts of all calls share. */
export interface AttemptTools {
  readonly clock: Clock;
  readonly random: Random;
  readonly breakers: Breakers;
  /** What the limits of a leg are counted by. */
  readonly quota: Quota;
}

/**
 * How a call is tried at one target after the other, one at a time. Of plain functions, not of
 * async ones: each of those would cost every request a promise and a turn of the microtask queue.
 */
export interface TryTarget<E, T> {
  /** Calls the target. Resolves with what it ends with; throws or rejects when it fails. */
  begin(leg: Leg, target: Target, log: AttemptLog): Promise<E>;
  /** Makes the caller's answer of a good end. The attempt has failed when it throws. */
  conclude(end: E): T;
  /**
   * The caller's answer where the attempt was ended from within, so that its failure is none;
   * undefined for any other failure.
   */
  concludeShort?(): T | undefined;
  /** The attempt is over, however it ended. */
  stop?(): void;
  /** Whether the caller has seen something, so that no other target may be tried. */
  committed?(): boolean;
}

/** The attempts of one call. */
export interface AttemptsOfCall<E, T> {
  readonly grant: Grant;
  readonly call: Call;
  readonly tools: AttemptTools;
  readonly tryTarget: TryTarget<E, T>;
  /** What is asked, where it costs something; undefined counts against no limit. */
  readonly ask?: ChatAsk | EmbedAsk;
}

/**
 * Tries targets in order until one answers: those of the first leg, then those of the legs that
 * follow the failure; all that within the caller's deadline. Each attempt leaves its line in the
 * call's record, takes what it may cost from the leg's limits before, and is settled, however it
 * ends. Throws the last failure; NO_TARGET when there was
 * nothing to try.
 */
export async function runAttempts<E, T>(attempts: AttemptsOfCall<E, T>): Promise<T> {
  const { grant, call, tools, tryTarget } = attempts;
  const deadline = watchDeadline(call, tools.clock);
  let failure: MeshError | undefined;
  let tried = 0;
  try {
    for (const leg of grant.legs) {
      for (const excluded of leg.excluded) call.trail.excluded.push(excluded);
      if (!isTurnOf(leg, failure)) continue;
      if (leg.after === "budget") call.trail.downgradedBy = failure?.details.metadata?.policy ?? "";
      for (const target of planLeg(leg, tools.breakers, tools.random)) {
        if (tried >= (grant.targetsMax ?? TARGETS_MAX)) break;
        tried += 1;
        for (let retry = 0; ; retry++) {
          call.cancellation.throwIfCancelled();
          const result = await tryOnce(leg, target, attempts);
          if (!(result instanceof MeshError)) return result.value;
          failure = result;
          if (tryTarget.committed?.()) throw failure;
          if (!deservesRetry(leg, target, { failure, retry, tools })) break;
          await pause(tools.clock, tools.random.unit() * BACKOFF_MS * 2 ** retry);
        }
        if (!judgeFailure(failure).next) break;
      }
    }
    throw failure ?? createNoTarget(grant);
  } finally {
    deadline?.cancel();
    call.trail.quota?.end();
  }
}

function isTurnOf(leg: Leg, failure: MeshError | undefined): boolean {
  if (failure !== undefined) return followsFailure(leg, failure);
  return leg.after === "first" || leg.after === "any";
}

interface FailedTry {
  readonly failure: MeshError;
  /** Tries of this target before this one. */
  readonly retry: number;
  readonly tools: AttemptTools;
}

/**
 * A timeout has cost the caller enough, and an ejected target wants rest: another target is the
 * better bet.
 */
function deservesRetry(leg: Leg, target: Target, { failure, retry, tools }: FailedTry): boolean {
  if (retry >= (leg.model.retriesPerTarget ?? 1) || !judgeFailure(failure).again) return false;
  return failure.reason !== "UPSTREAM_TIMEOUT" && tools.breakers.of(target.id).state !== "open";
}

async function tryOnce<E, T>(
  leg: Leg,
  target: Target,
  attempts: AttemptsOfCall<E, T>,
): Promise<{ value: T } | MeshError> {
  const { call, tools, tryTarget } = attempts;
  const { clock } = tools;
  // Undefined for most; a promise only where the leases at hand do not suffice.
  const taking = takeReservation(leg, target, attempts);
  const taken = taking instanceof Promise ? await taking : taking;
  if (taken instanceof MeshError) return taken;
  const breaker = tools.breakers.of(target.id);
  const nowMs = clock.now();
  call.trail.upstreamStartedMs ??= nowMs;
  const log = new AttemptLog({ call, target, nowMs, reservation: taken });
  call.cancellation.add(log.cancellation);
  breaker.begin();
  try {
    const value = tryTarget.conclude(await tryTarget.begin(leg, target, log));
    breaker.succeed();
    log.finish(clock.now(), undefined);
    return { value };
  } catch (thrown) {
    const short = tryTarget.concludeShort?.();
    if (short !== undefined) {
      breaker.succeed();
      log.finish(clock.now(), undefined);
      return { value: short };
    }
    const error = asMeshError(log.cancellation.cause ?? thrown);
    noteHealth(breaker, error);
    log.finish(clock.now(), error);
    log.chargeFailure();
    return error;
  } finally {
    tryTarget.stop?.();
    call.cancellation.remove(log.cancellation);
    for (const warning of log.warnings) call.trail.warnings.push(warning);
  }
}

function noteHealth(breaker: Breaker, error: MeshError): void {
  const { health } = judgeFailure(error);
  if (health === "failed") breaker.fail();
  else if (health === "broken") breaker.fail(true);
  else breaker.forget();
  if (health === "blocked") breaker.block(error.details.retryAfterMs ?? BLOCKED_MS);
}

function createNoTarget(grant: Grant): MeshError {
  const reasons = new Set<string>();
  for (const leg of grant.legs) {
    for (const { reason } of leg.excluded) reasons.add(reason);
  }
  const why = reasons.size === 0 ? "the model has no targets" : [...reasons].join("; ");
  return new MeshError(
    "NO_TARGET",
    `No target of this model can be used: ${why}. Ask your platform team.`,
    { retryAfterMs: 5_000, metadata: { excluded_by: why } },
  );
}
