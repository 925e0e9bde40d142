import type { IncomingHttpHeaders } from "node:http";
import type { Readable, Writable } from "node:stream";
import type { Call } from "../../../mesh/call.ts";
import type { Timer } from "../../../mesh/clock.ts";
import { asMeshError, MeshError } from "../../../mesh/errors.ts";
import { BodyPieces } from "../../body-pieces.ts";
import { openCall } from "../../open-call.ts";
import { readCredential } from "../../rest/arrival.ts";
import { addAnswerFields } from "../answer-headers.ts";
import { MESSAGE_BYTES_MAX } from "../limits.ts";
import { mapRefusal } from "../refusal.ts";
import { retryAfterSeconds } from "../retry-after.ts";
import type { RpcHouse } from "../rpc-house.ts";

/** A request in the form of node:http's. */
export interface ConnectRequest extends Readable {
  readonly headers: IncomingHttpHeaders;
}

/** A response in the form of node:http's. */
export interface ConnectResponse extends Writable {
  readonly headersSent: boolean;
  writeHead(status: number, headers: string[]): unknown;
}

/** What is known of a call of the Connect protocol when it arrives. */
export interface ConnectArrival {
  readonly house: RpcHouse;
  readonly request: ConnectRequest;
  readonly response: ConnectResponse;
  /** Whether messages are in protobuf's binary form; else they are JSON. */
  readonly binary: boolean;
  readonly timeoutMs: number | undefined;
  readonly giveBack: GiveBack;
}

/**
 * Has connect-node serve a request after all. What was read of its body is handed over; `more` says
 * that there may be more to read.
 */
export type GiveBack = (body: Buffer, more: boolean) => void;

/** One call of the Connect protocol, up to its answer. */
export abstract class ConnectExchange {
  readonly call: Call;
  readonly binary: boolean;
  protected readonly response: ConnectResponse;
  /** True once the answer is complete, or nobody waits for it. */
  protected ended = false;
  readonly #arrival: ConnectArrival;
  #pieces = new BodyPieces();
  #deadline: Timer | undefined;
  /** True from the moment the handler has taken the call over: it then leaves the record. */
  #entered = false;

  constructor(arrival: ConnectArrival) {
    const { house, request, timeoutMs } = arrival;
    this.#arrival = arrival;
    this.response = arrival.response;
    this.binary = arrival.binary;
    const credential = readCredential(request.headers);
    this.call = openCall({ door: "connect", credential, timeoutMs }, house.clock);
  }

  /** Begins to read. That a body comes to its end in time is for others to see to. */
  open(): void {
    const { house, request, timeoutMs } = this.#arrival;
    request.on("data", this.#onData);
    request.on("end", this.#onEnd);
    this.response.on("error", ignore);
    this.response.on("close", this.#onClose);
    if (timeoutMs === undefined) return;
    this.#deadline = house.clock.after(timeoutMs, () => this.#deadlinePassed());
  }

  /** Called when the request is sound and the journey begins. */
  enter(): void {
    this.call.cancellation.throwIfCancelled();
    this.#entered = true;
  }

  /**
   * Answers the request. Throws, or rejects with, the error to answer with. Undefined, with nothing
   * done, when the body cannot be decoded.
   */
  protected abstract serve(body: Buffer): Promise<void> | undefined;

  /** Sends an error; `fields` are those of the answer's header that are told in any case. */
  protected abstract sendError(error: MeshError, fields: string[]): void;

  readonly #onData = (piece: Buffer): void => {
    this.#pieces.add(piece);
    // Only a body that did not say its length gets here.
    if (this.#pieces.bytes > BODY_BYTES_MAX) this.#giveBack(this.#takeBody(), true);
  };

  readonly #onEnd = (): void => {
    const body = this.#takeBody();
    try {
      const answering = this.serve(body);
      if (answering === undefined) this.#giveBack(body, false);
      else answering.then(this.#answered, this.#failed);
    } catch (thrown) {
      this.#failed(thrown);
    }
  };

  #takeBody(): Buffer {
    const body = this.#pieces.join();
    this.#pieces = new BodyPieces();
    return body;
  }

  readonly #onClose = (): void => {
    this.#deadline?.cancel();
    if (this.ended) return;
    this.ended = true;
    const text = "The caller went away before the answer was complete.";
    this.call.cancellation.cancel(new MeshError("CALLER_GONE", text));
  };

  readonly #answered = (): void => {
    this.#deadline?.cancel();
  };

  readonly #failed = (thrown: unknown): void => {
    this.#deadline?.cancel();
    const { house } = this.#arrival;
    const { call } = this;
    const error = this.#entered ? asMeshError(thrown) : mapRefusal(house, call.credential, thrown);
    if (!this.#entered || error.reason.startsWith("CREDENTIAL_")) house.refused(error.reason);
    if (this.ended || this.response.destroyed) return;
    const fields: string[] = [];
    addAnswerFields(fields, { house, call, decision: call.trail.decision, cost: undefined });
    const seconds = retryAfterSeconds(error);
    if (seconds !== undefined) fields.push("retry-after", String(seconds));
    this.sendError(error, fields);
  };

  #giveBack(body: Buffer, more: boolean): void {
    const { request, giveBack } = this.#arrival;
    this.ended = true;
    this.#deadline?.cancel();
    request.removeListener("data", this.#onData);
    request.removeListener("end", this.#onEnd);
    this.response.removeListener("close", this.#onClose);
    if (more) request.pause();
    giveBack(body, more);
  }

  #deadlinePassed(): void {
    const text = "The deadline passed before the answer came.";
    this.call.cancellation.cancel(new MeshError("DEADLINE_EXCEEDED", text));
  }
}

/** A message, and what a stream puts before it. */
const BODY_BYTES_MAX = MESSAGE_BYTES_MAX + 5;

function ignore(): void {}
