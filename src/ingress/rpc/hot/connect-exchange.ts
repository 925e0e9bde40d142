import type { IncomingMessage, ServerResponse } from "node:http";
import { codeToHttpStatus, errorToJson } from "@connectrpc/connect/protocol-connect";
import type { Decision } from "../../../../gen/weir/v1/chat_pb.ts";
import type { Cost } from "../../../../gen/weir/v1/usage_pb.ts";
import type { Call } from "../../../mesh/call.ts";
import type { Timer } from "../../../mesh/clock.ts";
import { asMeshError, MeshError } from "../../../mesh/errors.ts";
import { openCall } from "../../open-call.ts";
import { readCredential } from "../../rest/arrival.ts";
import { addAnswerFields } from "../answer-headers.ts";
import { createConnectError } from "../mesh-to-status.ts";
import { mapRefusal } from "../refusal.ts";
import { retryAfterSeconds } from "../retry-after.ts";
import type { RpcHouse } from "../rpc-house.ts";

/** One method of the Connect protocol that is served without connect-node. */
export interface ConnectMethod {
  /**
   * Answers one call through `exchange`, up to `exchange.finish()`. Throws, or rejects with, the
   * error to answer with. Undefined, with nothing done, when the body cannot be decoded.
   */
  serve(exchange: ConnectExchange, body: Buffer): Promise<void> | undefined;
}

/** What is known of a call when it arrives. */
export interface ConnectArrival {
  readonly house: RpcHouse;
  readonly method: ConnectMethod;
  readonly binary: boolean;
  readonly timeoutMs: number | undefined;
  /** Serves the request by connect-node after all, its body being this. */
  readonly giveBack: (body: Buffer) => void;
}

/** One unary call of the Connect protocol over HTTP/1.1. */
export class ConnectExchange {
  readonly call: Call;
  /** Whether messages are in protobuf's binary form; else they are JSON. */
  readonly binary: boolean;
  readonly #arrival: ConnectArrival;
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  #first: Buffer | undefined;
  #more: Buffer[] | undefined;
  #deadline: Timer | undefined;
  /** True from the moment the handler has taken the call over: it then leaves the record. */
  #entered = false;
  #ended = false;

  constructor(arrival: ConnectArrival, request: IncomingMessage, response: ServerResponse) {
    this.#arrival = arrival;
    this.#request = request;
    this.#response = response;
    this.binary = arrival.binary;
    const { house, timeoutMs } = arrival;
    const credential = readCredential(request.headers);
    this.call = openCall({ door: "connect", credential, timeoutMs }, house.clock);
  }

  /** Begins to read. That the body comes to an end, and not beyond its length, is the port's. */
  open(): void {
    this.#request.on("data", this.#onData);
    this.#request.on("end", this.#onEnd);
    this.#response.on("error", ignore);
    this.#response.on("close", this.#onClose);
    const { house, timeoutMs } = this.#arrival;
    if (timeoutMs === undefined) return;
    this.#deadline = house.clock.after(timeoutMs, () => this.#deadlinePassed());
  }

  /** Called by a method when its request is sound and the journey begins. */
  enter(): void {
    this.call.cancellation.throwIfCancelled();
    this.#entered = true;
  }

  /** Sends the answer: a message, or JSON as text. */
  finish(body: Buffer | string, decision: Decision, cost: Cost): void {
    const { house } = this.#arrival;
    const type = this.binary ? "application/proto" : "application/json";
    const fields = ["content-type", type];
    addAnswerFields(fields, { house, call: this.call, decision, cost });
    this.#send(200, fields, body);
  }

  #fail(error: MeshError): void {
    const { house } = this.#arrival;
    if (!this.#entered || error.reason.startsWith("CREDENTIAL_")) house.refused(error.reason);
    const { call } = this;
    const fields = ["content-type", "application/json"];
    addAnswerFields(fields, { house, call, decision: call.trail.decision, cost: undefined });
    const seconds = retryAfterSeconds(error);
    if (seconds !== undefined) fields.push("retry-after", String(seconds));
    const told = createConnectError(error, call.requestId);
    const body = JSON.stringify(errorToJson(told, undefined));
    this.#send(codeToHttpStatus(told.code), fields, body);
  }

  #send(status: number, fields: string[], body: Buffer | string): void {
    this.#deadline?.cancel();
    const response = this.#response;
    if (this.#ended || response.destroyed) return;
    this.#ended = true;
    const isText = typeof body === "string";
    const bytes = isText ? Buffer.byteLength(body) : body.length;
    fields.push("content-length", String(bytes));
    response.writeHead(status, fields);
    // As letters: node makes one string, and one write, of header and body.
    if (isText || bytes > LETTERS_MAX) response.end(body);
    else response.end(body.toString("latin1"), "latin1");
  }

  readonly #onData = (piece: Buffer): void => {
    if (this.#first === undefined) this.#first = piece;
    else if (this.#more === undefined) this.#more = [this.#first, piece];
    else this.#more.push(piece);
  };

  readonly #onEnd = (): void => {
    const body = this.#more === undefined ? (this.#first ?? EMPTY) : Buffer.concat(this.#more);
    this.#first = undefined;
    this.#more = undefined;
    try {
      const answering = this.#arrival.method.serve(this, body);
      if (answering === undefined) this.#giveBack(body);
      else answering.catch(this.#settle);
    } catch (thrown) {
      this.#settle(thrown);
    }
  };

  readonly #onClose = (): void => {
    this.#deadline?.cancel();
    if (this.#ended) return;
    this.#ended = true;
    const text = "The caller went away before the answer was complete.";
    this.call.cancellation.cancel(new MeshError("CALLER_GONE", text));
  };

  readonly #settle = (thrown: unknown): void => {
    const { house } = this.#arrival;
    const { credential } = this.call;
    this.#fail(this.#entered ? asMeshError(thrown) : mapRefusal(house, credential, thrown));
  };

  #giveBack(body: Buffer): void {
    this.#ended = true;
    this.#deadline?.cancel();
    this.#response.removeListener("close", this.#onClose);
    this.#arrival.giveBack(body);
  }

  #deadlinePassed(): void {
    const text = "The deadline passed before the answer came.";
    this.call.cancellation.cancel(new MeshError("DEADLINE_EXCEEDED", text));
  }
}

const EMPTY = Buffer.alloc(0);
/** The system writes strings of this length without memory of its own. */
const LETTERS_MAX = 12 * 1024;

function ignore(): void {}
