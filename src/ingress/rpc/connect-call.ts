import { Code, ConnectError, type HandlerContext } from "@connectrpc/connect";
import type { Decision } from "../../../gen/weir/v1/chat_pb.ts";
import type { Cost } from "../../../gen/weir/v1/usage_pb.ts";
import type { Call, DoorName } from "../../mesh/call.ts";
import { asMeshError, MeshError } from "../../mesh/errors.ts";
import { openCall } from "../open-call.ts";
import { readCredential } from "../rest/arrival.ts";
import { createAnswerHeaders } from "./answer-headers.ts";
import { createConnectError } from "./mesh-to-status.ts";
import { mapRefusal } from "./refusal.ts";
import { retryAfterSeconds } from "./retry-after.ts";
import type { RpcHouse } from "./rpc-house.ts";

/** One RPC as connect-node hands it over, in the terms of the house. `close()` it in any case. */
export class ConnectCall {
  readonly call: Call;
  readonly #house: RpcHouse;
  readonly #context: HandlerContext;
  readonly #aborted: () => void;
  #entered = false;

  constructor(house: RpcHouse, context: HandlerContext) {
    const { requestHeader, signal } = context;
    const credential = readCredential({
      authorization: requestHeader.get("authorization") ?? undefined,
      "x-api-key": requestHeader.get("x-api-key") ?? undefined,
      "api-key": requestHeader.get("api-key") ?? undefined,
    });
    const arrival = { door: mapDoor(context), credential, timeoutMs: context.timeoutMs() };
    const call = openCall(arrival, house.clock);
    this.call = call;
    this.#house = house;
    this.#context = context;
    this.#aborted = () => call.cancellation.cancel(mapAbort(signal.reason));
    if (signal.aborted) this.#aborted();
    else signal.addEventListener("abort", this.#aborted);
  }

  /** Says that the request is sound and the journey begins, which leaves a record. */
  enter(): void {
    this.call.cancellation.throwIfCancelled();
    this.#entered = true;
  }

  /** Puts what is known of the answer into the response's header. */
  describe(decision: Decision | undefined, cost: Cost | undefined): void {
    const facts = { house: this.#house, call: this.call, decision, cost };
    const headers = createAnswerHeaders(facts);
    for (const name in headers) this.#context.responseHeader.set(name, headers[name] ?? "");
  }

  /** Whatever was thrown, as the error to answer with. */
  fail(thrown: unknown): ConnectError {
    const error = this.#entered
      ? asMeshError(thrown)
      : mapRefusal(this.#house, this.call.credential, thrown);
    if (!this.#entered || error.reason.startsWith("CREDENTIAL_")) {
      this.#house.refused(error.reason);
    }
    this.describe(this.call.trail.decision, undefined);
    const seconds = retryAfterSeconds(error);
    if (this.call.door === "connect" && seconds !== undefined) {
      this.#context.responseHeader.set("retry-after", String(seconds));
    }
    return createConnectError(error, this.call.requestId);
  }

  close(): void {
    this.#context.signal.removeEventListener("abort", this.#aborted);
  }
}

function mapDoor(context: HandlerContext): DoorName {
  const name = context.protocolName;
  return name === "grpc" || name === "grpc-web" ? name : "connect";
}

function mapAbort(reason: unknown): MeshError {
  if (reason instanceof ConnectError && reason.code === Code.DeadlineExceeded) {
    return new MeshError("DEADLINE_EXCEEDED", "The deadline passed before the answer came.");
  }
  return new MeshError("CALLER_GONE", "The caller went away before the answer was complete.");
}
