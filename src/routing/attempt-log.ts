import type { AttemptRecord } from "../../gen/weir/admin/v1/record_pb.ts";
import type { Cost, Usage } from "../../gen/weir/v1/usage_pb.ts";
import type { Call } from "../mesh/call.ts";
import { Cancellation } from "../mesh/cancellation.ts";
import type { MeshError } from "../mesh/errors.ts";
import type { Reservation } from "../mesh/quota.ts";
import type { Target } from "../mesh/target.ts";
import type { Attempt, UpstreamHeaders } from "../mesh/upstream.ts";
import { settle } from "./settle.ts";

/** Names under which vendors tell their own identifier of a request. */
const REQUEST_ID_HEADERS = ["x-request-id", "request-id", "cf-ray"];

/** The ledger keeps these for years; a vendor may write as much as it likes. */
const DETAIL_CHARACTERS_MAX = 4096;

/** What an attempt begins with. */
export interface AttemptStart {
  readonly call: Call;
  readonly target: Target;
  readonly nowMs: number;
  /** What it has taken from limits; undefined where none concerns it. */
  readonly reservation: Reservation | undefined;
}

/** One attempt on its way: what the upstream sees of it, and its line in the call's record. */
export class AttemptLog implements Attempt {
  readonly requestId: string;
  readonly cancellation = new Cancellation();
  readonly warnings: string[] = [];
  readonly record: AttemptRecord;
  partial: Usage | undefined = undefined;
  sent = false;
  readonly #startedMs: number;
  readonly #call: Call;
  readonly #target: Target;
  #reservation: Reservation | undefined;

  constructor({ call, target, nowMs, reservation }: AttemptStart) {
    this.requestId = call.requestId;
    this.#startedMs = nowMs;
    this.#call = call;
    this.#target = target;
    this.#reservation = reservation;
    this.record = {
      $typeName: "weir.admin.v1.AttemptRecord",
      provider: target.provider.name,
      upstreamModel: target.upstreamModel,
      httpStatus: 0,
      errorReason: "",
      detail: "",
      startUs: microseconds(nowMs - call.startedMs),
      latencyUs: 0n,
      committed: false,
      upstreamRequestId: "",
    };
    call.trail.attempts.push(this.record);
  }

  get outputTokensMax(): number | undefined {
    return this.#reservation?.outputTokensMax;
  }

  /** What is taken piece by piece while the answer streams; undefined where all is taken. */
  get slices(): Reservation | undefined {
    return this.#reservation?.cover === undefined ? undefined : this.#reservation;
  }

  /**
   * The attempt used this much: books it, and gives back what it took beyond. Returns the cost.
   * `told` is what somebody has counted or estimated of the answer; undefined spends all that was
   * taken.
   */
  charge(usage: Usage, told: Usage | undefined): Cost {
    const cost = settle(this.#call.trail, this.#target, usage);
    this.#reservation?.settle(told, cost);
    this.#reservation = undefined;
    return cost;
  }

  /**
   * The attempt has failed. What it took comes back only where nothing can have been billed: the
   * request was not sent, or the upstream refused it. Where it was sent and nobody has counted, all
   * of it counts as spent.
   */
  chargeFailure(): void {
    if (this.partial !== undefined) {
      this.charge(this.partial, this.partial);
      return;
    }
    const refused = this.record.httpStatus >= 300;
    if (!this.sent || refused) this.#reservation?.release();
    else this.#reservation?.settle(undefined, undefined);
    this.#reservation = undefined;
  }

  opened(status: number, headers: UpstreamHeaders): void {
    this.record.httpStatus = status;
    for (const name of REQUEST_ID_HEADERS) {
      const value = headers[name];
      if (typeof value !== "string") continue;
      this.record.upstreamRequestId = value;
      return;
    }
  }

  finish(nowMs: number, error: MeshError | undefined): void {
    this.record.latencyUs = microseconds(nowMs - this.#startedMs);
    if (error === undefined) return;
    this.record.errorReason = error.reason;
    this.record.detail = (error.details.internal ?? error.message).slice(0, DETAIL_CHARACTERS_MAX);
  }
}

function microseconds(ms: number): bigint {
  return BigInt(Math.max(0, Math.round(ms * 1000)));
}
