import type { Dispatcher } from "undici";
import type { Usage } from "../../gen/weir/v1/usage_pb.ts";
import type { CancellationListener } from "../mesh/cancellation.ts";
import type { Clock, Timer } from "../mesh/clock.ts";
import { asMeshError, MeshError } from "../mesh/errors.ts";
import type { Attempt, UpstreamHeaders } from "../mesh/upstream.ts";
import type { AnswerBody, BodyFlow } from "./answer-body.ts";
import { mapConnectionFault } from "./connection-fault.ts";
import { GunzipBody } from "./gunzip-body.ts";
import { asPoison } from "./poison.ts";
import { HeadOfBody, WholeBody } from "./whole-body.ts";

/** How long a connection may take to end after its answer was complete, before it is closed. */
const LINGER_MS = 2000;
const ERROR_BYTES_MAX = 1024 * 1024;
const ANSWER_BYTES_MAX = 64 * 1024 * 1024;

/**
 * What an exchange is about: how its answers are read. Everything here may throw; that fails the
 * one exchange.
 */
export interface AnswerReading<T> {
  /** A body that is no 2xx. */
  readError(status: number, headers: UpstreamHeaders, body: Buffer): MeshError;
  /** A whole 2xx body. */
  readWhole(body: Buffer): T;
  /**
   * A 2xx body that is to be read as it comes, judged by its headers; undefined to take it whole.
   */
  openStream(
    headers: UpstreamHeaders,
    flow: BodyFlow,
    succeed: (value: T) => void,
  ): AnswerBody | undefined;
  /** What a 2xx answer that ended early, or that nobody counted, has used so far. */
  partialUsage(): Usage | undefined;
  /** Whether the upstream said in its answer what it has used; asked once, at its end. */
  counted(value: T): boolean;
}

/** A call that its key has ended is left by its caller too, whether it likes that or not. */
const callerLeaves: ReadonlySet<string> = new Set([
  "CALLER_GONE",
  "DEADLINE_EXCEEDED",
  "CREDENTIAL_UNKNOWN",
  "CREDENTIAL_EXPIRED",
  "CREDENTIAL_DISABLED",
]);

/** What an exchange needs to know. */
export interface ExchangeOptions<T> {
  readonly clock: Clock;
  readonly attempt: Attempt;
  readonly reading: AnswerReading<T>;
  /** Named in errors, for the log. */
  readonly origin: string;
  readonly resolve: (value: T) => void;
  readonly reject: (error: Error) => void;
}

/**
 * One request and its response, as undici tells of them. States: waiting for a connection (no
 * controller), waiting for headers (no body), reading (a body), settled. It settles once; whatever
 * undici tells afterwards is passed over. An exchange may settle before the connection is done,
 * since an answer is complete with its last event.
 */
export class Exchange<T> implements Dispatcher.DispatchHandler, BodyFlow, CancellationListener {
  readonly #options: ExchangeOptions<T>;
  #controller: Dispatcher.DispatchController | undefined;
  #body: AnswerBody | undefined;
  /** The status is 2xx. */
  #succeeding = false;
  /** The status is another: nothing is billed. */
  #refusing = false;
  /** A byte of a 2xx answer has come, or the caller left without one: something was billed. */
  #billed = false;
  #settled = false;
  #ended = false;
  #linger: Timer | undefined;

  constructor(options: ExchangeOptions<T>) {
    this.#options = options;
    options.attempt.cancellation.add(this);
  }

  /**
   * A request that was cancelled while it waited for a connection is not sent any more; the
   * connection stays.
   */
  onRequestStart(controller: Dispatcher.DispatchController): void {
    if (this.#settled) throw new Error("cancelled before it was sent");
    this.#controller = controller;
    this.#options.attempt.sent = true;
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: UpstreamHeaders,
  ): void {
    if (this.#settled || status < 200) return;
    try {
      this.#options.attempt.opened(status, headers);
      this.#body = this.#openBody(status, headers);
    } catch (thrown) {
      this.fail(asMeshError(thrown));
    }
  }

  onResponseData(_controller: Dispatcher.DispatchController, bytes: Buffer): void {
    if (this.#settled) return;
    this.#billed ||= this.#succeeding;
    this.#body?.push(bytes);
  }

  onResponseEnd(): void {
    this.#ended = true;
    this.#linger?.cancel();
    if (!this.#settled) this.#body?.end();
  }

  onResponseError(_controller: Dispatcher.DispatchController | null, fault: Error): void {
    this.#ended = true;
    this.#linger?.cancel();
    if (!this.#settled) this.fail(mapConnectionFault(fault, this.#options.origin));
  }

  pause(): void {
    this.#controller?.pause();
  }

  resume(): void {
    if (!this.#ended) this.#controller?.resume();
  }

  /**
   * Ends the exchange and its connection at once; rejects with `error`, after what was used has
   * been written down.
   */
  fail(error: Error): void {
    if (this.#settled) return;
    const { attempt, reject } = this.#options;
    if (this.#billed) attempt.partial = this.#readPartial();
    this.#settle();
    reject(error);
    if (!this.#ended) this.#controller?.abort(error);
  }

  /**
   * A caller that leaves while the vendor thinks does not take the prompt back: the vendor has it,
   * and bills it. A vendor that keeps us waiting has answered for nothing.
   */
  cancel(cause: Error): void {
    const leaves = cause instanceof MeshError && callerLeaves.has(cause.reason);
    this.#billed ||= leaves && this.#controller !== undefined && !this.#refusing;
    this.fail(cause);
  }

  #openBody(status: number, headers: UpstreamHeaders): AnswerBody {
    this.#succeeding = status >= 200 && status < 300;
    this.#refusing = !this.#succeeding;
    const create = (flow: BodyFlow): AnswerBody =>
      this.#succeeding
        ? this.#openAnswer(flow, headers)
        : new HeadOfBody(ERROR_BYTES_MAX, (body) => this.#refuse(status, headers, body));
    const encoding = String(headers["content-encoding"] ?? "identity").toLowerCase();
    if (encoding === "identity") return create(this);
    if (encoding === "gzip" || encoding === "x-gzip") return new GunzipBody(this, create);
    throw new MeshError(
      "UPSTREAM_GARBLED",
      "The upstream's answer cannot be unpacked. Try again.",
      {
        internal: `content-encoding ${encoding} although identity was asked for`,
      },
    );
  }

  #openAnswer(flow: BodyFlow, headers: UpstreamHeaders): AnswerBody {
    const { reading } = this.#options;
    const stream = reading.openStream(headers, flow, (value) => this.#succeed(value));
    return stream ?? new WholeBody(flow, ANSWER_BYTES_MAX, (body) => this.#take(body));
  }

  #take(body: Buffer): void {
    try {
      this.#succeed(this.#options.reading.readWhole(body));
    } catch (thrown) {
      this.fail(asPoison(thrown));
    }
  }

  #refuse(status: number, headers: UpstreamHeaders, body: Buffer): void {
    try {
      this.fail(this.#options.reading.readError(status, headers, body));
    } catch (thrown) {
      this.fail(asPoison(thrown));
    }
  }

  #succeed(value: T): void {
    if (this.#settled) return;
    const { attempt, reading, resolve } = this.#options;
    // An upstream that counts nothing must not be free of charge.
    if (!reading.counted(value)) attempt.partial = this.#readPartial();
    this.#settle();
    resolve(value);
    if (this.#ended) return;
    // The connection is worth keeping when its response ends properly, and not worth waiting for
    // when it does not.
    this.#controller?.resume();
    this.#linger = this.#options.clock.after(LINGER_MS, () =>
      this.#controller?.abort(new Error("the response did not end")),
    );
  }

  #settle(): void {
    this.#settled = true;
    this.#options.attempt.cancellation.remove(this);
    this.#body?.drop();
    this.#body = undefined;
  }

  #readPartial(): Usage | undefined {
    try {
      return this.#options.reading.partialUsage();
    } catch {
      return undefined;
    }
  }
}
