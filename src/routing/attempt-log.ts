import type { AttemptRecord } from "../../gen/weir/admin/v1/record_pb.ts";
import type { Usage } from "../../gen/weir/v1/usage_pb.ts";
import type { Call } from "../mesh/call.ts";
import { Cancellation } from "../mesh/cancellation.ts";
import type { MeshError } from "../mesh/errors.ts";
import type { Target } from "../mesh/target.ts";
import type { Attempt, UpstreamHeaders } from "../mesh/upstream.ts";

/** Names under which vendors tell their own identifier of a request. */
const REQUEST_ID_HEADERS = ["x-request-id", "request-id", "cf-ray"];

/** The ledger keeps these for years; a vendor may write as much as it likes. */
const DETAIL_CHARACTERS_MAX = 4096;

/** One attempt on its way: what the upstream sees of it, and its line in the call's record. */
export class AttemptLog implements Attempt {
  readonly requestId: string;
  readonly cancellation = new Cancellation();
  readonly warnings: string[] = [];
  readonly record: AttemptRecord;
  partial: Usage | undefined = undefined;
  readonly #startedMs: number;

  constructor(call: Call, target: Target, nowMs: number) {
    this.requestId = call.requestId;
    this.#startedMs = nowMs;
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
