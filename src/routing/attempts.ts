import type { Call } from "../mesh/call.ts";
import { type Clock, pause } from "../mesh/clock.ts";
import { asMeshError, MeshError } from "../mesh/errors.ts";
import type { Grant, Leg } from "../mesh/grant.ts";
import type { Random } from "../mesh/random.ts";
import type { Target } from "../mesh/target.ts";
import { AttemptLog } from "./attempt-log.ts";
import type { Breaker, Breakers } from "./breaker.ts";
import { planLeg } from "./plan.ts";
import { settle } from "./settle.ts";
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
}

/**
 * Calls one target once. `committed` tells whether the caller has seen something, so that no other
 * may be tried.
 */
export interface TryTarget<T> {
  run(leg: Leg, target: Target, log: AttemptLog): Promise<T>;
  committed(): boolean;
}

/** The attempts of one call. */
export interface AttemptsOfCall<T> {
  readonly grant: Grant;
  readonly call: Call;
  readonly tools: AttemptTools;
  readonly tryTarget: TryTarget<T>;
}

/**
 * Tries targets in order until one answers: those of the first leg, then those of the legs that
 * follow the failure. Each attempt leaves its line in the call's record and is settled, however it
 * ends. Throws the last failure; NO_TARGET when there was nothing to try.
 */
export async function runAttempts<T>(attempts: AttemptsOfCall<T>): Promise<T> {
  const { grant, call, tools, tryTarget } = attempts;
  let failure: MeshError | undefined;
  let tried = 0;
  for (const leg of grant.legs) {
    call.trail.excluded.push(...leg.excluded);
    if (failure !== undefined && !followsFailure(leg, failure)) continue;
    if (failure === undefined && leg.after !== "first" && leg.after !== "any") continue;
    for (const target of planLeg(leg, tools.breakers, tools.random)) {
      if (tried >= (grant.targetsMax ?? TARGETS_MAX)) break;
      tried += 1;
      const result = await tryWithRetries(leg, target, attempts);
      if (!(result instanceof MeshError)) return result.value;
      failure = result;
      if (tryTarget.committed()) throw failure;
      if (!judgeFailure(failure).next) break;
    }
  }
  throw failure ?? createNoTarget(grant);
}

async function tryWithRetries<T>(
  leg: Leg,
  target: Target,
  attempts: AttemptsOfCall<T>,
): Promise<{ value: T } | MeshError> {
  const { call, tools, tryTarget } = attempts;
  const retriesMax = leg.model.retriesPerTarget ?? 1;
  for (let retry = 0; ; retry++) {
    call.cancellation.throwIfCancelled();
    const result = await tryOnce(leg, target, attempts);
    if (!(result instanceof MeshError)) return result;
    const spent = tryTarget.committed() || retry >= retriesMax || !judgeFailure(result).again;
    // A timeout has cost the caller enough, and an ejected target wants rest: another target is the
    // better bet.
    const pointless =
      result.reason === "UPSTREAM_TIMEOUT" || tools.breakers.of(target.id).state === "open";
    if (spent || pointless) return result;
    await pause(tools.clock, tools.random.unit() * BACKOFF_MS * 2 ** retry);
  }
}

async function tryOnce<T>(
  leg: Leg,
  target: Target,
  { call, tools, tryTarget }: AttemptsOfCall<T>,
): Promise<{ value: T } | MeshError> {
  const { clock } = tools;
  const breaker = tools.breakers.of(target.id);
  const nowMs = clock.now();
  call.trail.upstreamStartedMs ??= nowMs;
  const log = new AttemptLog(call, target, nowMs);
  const stopListening = call.cancellation.onCancel((cause) => log.cancellation.cancel(cause));
  breaker.begin();
  try {
    const value = await tryTarget.run(leg, target, log);
    breaker.succeed();
    log.finish(clock.now(), undefined);
    return { value };
  } catch (thrown) {
    const error = asMeshError(log.cancellation.cause ?? thrown);
    noteHealth(breaker, error);
    log.finish(clock.now(), error);
    if (log.partial !== undefined) settle(call.trail, target, log.partial);
    return error;
  } finally {
    stopListening();
    call.trail.warnings.push(...log.warnings);
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
