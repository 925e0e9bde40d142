import type { AttemptRecord, ExcludedTarget } from "../../gen/weir/admin/v1/record_pb.ts";
import type { Decision, Finish } from "../../gen/weir/v1/chat_pb.ts";
import type { Cost, Usage } from "../../gen/weir/v1/usage_pb.ts";
import type { Cancellation } from "./cancellation.ts";
import type { CallQuota } from "./quota.ts";
import type { Target } from "./target.ts";

/** The door that a call came through. */
export type DoorName = "grpc" | "connect" | "grpc-web" | "openai" | "anthropic";

/**
 * One call on its way through the house: who carries it, until when, and what has happened to it so
 * far.
 */
export interface Call {
  readonly requestId: string;
  readonly door: DoorName;
  /** The secret that the caller showed, or undefined. Never logged, never kept. */
  readonly credential: string | undefined;
  /** Arrival, on Clock.now(). */
  readonly startedMs: number;
  /** Arrival, on Clock.wallMs(). */
  readonly startedWallMs: number;
  /** When the caller stops waiting, on Clock.now(). Undefined means never. */
  readonly deadlineMs: number | undefined;
  /** Tells when nobody waits any more. */
  readonly cancellation: Cancellation;
  /** What the rooms write down as the call passes, for the record. */
  readonly trail: Trail;
}

/**
 * What happened to a call, written by the rooms in passing and read once, when its record is made.
 */
export interface Trail {
  readonly attempts: AttemptRecord[];
  readonly excluded: ExcludedTarget[];
  readonly auditDeniedBy: string[];
  /** What could not be carried to the target's dialect and was left out. */
  readonly warnings: string[];
  /** When the first upstream call began, on Clock.now(). */
  upstreamStartedMs: number | undefined;
  /** When the first content flowed to the caller, on Clock.now(). */
  firstContentMs: number | undefined;
  /** Who answers, once that is committed. */
  decision: Decision | undefined;
  /** Why the answer ended. */
  finish: Finish | undefined;
  /** What all attempts used so far, those that failed too: settled by routing whatever happens. */
  usage: Usage | undefined;
  /** What that costs. */
  cost: Cost | undefined;
  /** The target that charged last: whose cost it is when nobody answered. */
  charged: Target | undefined;
  /** The policy that lowered the request's output limit, or empty. */
  clampedBy: string;
  /** The policy that had another model answer, or empty. */
  downgradedBy: string;
  /** Policies that let it pass although nobody could prove that anything was left. */
  readonly unprovenBy: string[];
  /** What the call has taken from its limits; undefined while nothing limits it. */
  quota: CallQuota | undefined;
}

export function createTrail(): Trail {
  return {
    attempts: [],
    excluded: [],
    auditDeniedBy: [],
    warnings: [],
    upstreamStartedMs: undefined,
    firstContentMs: undefined,
    decision: undefined,
    finish: undefined,
    usage: undefined,
    cost: undefined,
    charged: undefined,
    clampedBy: "",
    downgradedBy: "",
    unprovenBy: [],
    quota: undefined,
  };
}
