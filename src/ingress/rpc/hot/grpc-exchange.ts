import type { IncomingHttpHeaders } from "node:http2";
import type { Decision } from "../../../../gen/weir/v1/chat_pb.ts";
import type { Cost } from "../../../../gen/weir/v1/usage_pb.ts";
import type { Call } from "../../../mesh/call.ts";
import type { Timer } from "../../../mesh/clock.ts";
import { asMeshError, MeshError } from "../../../mesh/errors.ts";
import type { Place } from "../../../mesh/roster.ts";
import { ErrorCode } from "../../h2/frames.ts";
import type { H2Stream, StreamReceiver } from "../../h2/h2-stream.ts";
import { openCall } from "../../open-call.ts";
import { readCredential } from "../../rest/arrival.ts";
import { addAnswerFields } from "../answer-headers.ts";
import { createStatusTrailers } from "../mesh-to-status.ts";
import { mapRefusal } from "../refusal.ts";
import type { RpcHouse } from "../rpc-house.ts";
import { assertTimeout, readGrpcTimeout } from "./grpc-timeout.ts";
import { assertEncoding, MessageReader } from "./message-reader.ts";

/** One method of the hot door. */
export interface HotMethod {
  /**
   * Answers one call through `exchange`, up to `exchange.finish()`. Throws, or rejects with, the
   * error to answer with. The promise must not hold on to `message`.
   */
  serve(exchange: GrpcExchange, message: Buffer): Promise<void>;
}

/** What all exchanges of a door share. */
export interface ExchangeDoor {
  readonly house: RpcHouse;
  readonly readers: ReaderSet;
}

/** Keeps an eye on the requests that are not whole yet, so that one that never ends is noticed. */
export interface ReaderSet {
  add(exchange: GrpcExchange): Place<GrpcExchange>;
  leave(place: Place<GrpcExchange>): void;
}

/**
 * One gRPC call on one HTTP/2 stream: reads its message, writes frames, ends with a status.
 *
 * It costs no closure and no listener. It and its stream let go of each other at the end, and it
 * lets go of the request's bytes as soon as they are decoded: what outlives a scavenge is promoted
 * out of the young generation, which costs milliseconds of garbage collection at the tail.
 */
export class GrpcExchange implements StreamReceiver {
  readonly call: Call;
  readonly #door: ExchangeDoor;
  readonly #method: HotMethod;
  readonly #encoding: string | undefined;
  #stream: H2Stream | undefined;
  #reader: MessageReader | undefined = new MessageReader();
  #place: Place<GrpcExchange> | undefined;
  /** NaN when the field is malformed. */
  readonly #timeoutMs: number | undefined;
  #deadline: Timer | undefined;
  /** True from the moment the handler has taken the call over: it then leaves the record. */
  #entered = false;
  #headed = false;
  #ended = false;
  #drained: (() => void) | undefined;

  constructor(
    door: ExchangeDoor,
    method: HotMethod,
    stream: H2Stream,
    headers: IncomingHttpHeaders,
  ) {
    this.#door = door;
    this.#method = method;
    this.#stream = stream;
    this.#encoding = single(headers["grpc-encoding"]);
    const timeout = single(headers["grpc-timeout"]);
    this.#timeoutMs = timeout === undefined ? undefined : readGrpcTimeout(timeout);
    const credential = readCredential(headers);
    const timeoutMs = Number.isNaN(this.#timeoutMs) ? undefined : this.#timeoutMs;
    this.call = openCall({ door: "grpc", credential, timeoutMs }, door.house.clock);
  }

  /** Begins to read. */
  open(): void {
    const stream = this.#stream;
    if (stream === undefined) return;
    stream.receiver = this;
    this.#place = this.#door.readers.add(this);
    try {
      assertEncoding(this.#encoding);
      assertTimeout(this.#timeoutMs);
    } catch (thrown) {
      this.#refuse(thrown);
      return;
    }
    if (this.#timeoutMs === undefined || this.#timeoutMs > TIMER_MS_MAX) return;
    this.#deadline = this.#door.house.clock.after(this.#timeoutMs, () => this.#deadlinePassed());
  }

  /**
   * Sends the header, with what is known of the answer. Only once; `finish()` and `fail()` do it
   * when it is still missing.
   */
  start(decision: Decision | undefined, cost: Cost | undefined): void {
    const stream = this.#stream;
    if (stream === undefined || this.#headed || this.#ended || stream.closed) return;
    this.#headed = true;
    stream.respond(this.#listFields(decision, cost));
  }

  #listFields(decision: Decision | undefined, cost: Cost | undefined): string[] {
    const fields = [...COMMON_FIELDS];
    const { house } = this.#door;
    addAnswerFields(fields, { house, call: this.call, decision, cost });
    return fields;
  }

  /** Sends frames. False means that the peer is behind, or gone: await `ready()`. */
  write(frames: Buffer): boolean {
    const stream = this.#stream;
    if (stream === undefined || this.#ended) return false;
    return stream.write(frames);
  }

  /** Resolves when the peer has caught up. Rejects with the cause when the call is cancelled. */
  ready(): Promise<void> {
    const { cancellation } = this.call;
    if (cancellation.cause !== undefined) return Promise.reject(cancellation.cause);
    const stream = this.#stream;
    if (stream === undefined || !stream.wantsDrain) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const stop = cancellation.onCancel(reject);
      this.#drained = () => {
        stop();
        resolve();
      };
    });
  }

  /** Ends the call with OK, `lastFrame` before it. */
  finish(lastFrame: Buffer): void {
    const stream = this.#stream;
    if (stream === undefined || this.#ended || stream.closed) return;
    if (!this.#headed) this.start(undefined, undefined);
    this.#ended = true;
    stream.end(lastFrame, OK_TRAILERS);
  }

  /** Ends the call with an error: in the header when nothing was sent yet, else in the trailers. */
  fail(error: MeshError): void {
    if (!this.#entered || error.reason.startsWith("CREDENTIAL_")) {
      this.#door.house.refused(error.reason);
    }
    const stream = this.#stream;
    if (stream === undefined || this.#ended || stream.closed) return;
    this.#ended = true;
    const status = Object.entries(createStatusTrailers(error, this.call.requestId)).flat();
    if (this.#headed) {
      stream.end(undefined, status);
      return;
    }
    this.#headed = true;
    stream.respond([...this.#listFields(this.call.trail.decision, undefined), ...status], true);
  }

  /** Called when the request has not come to its end for too long. */
  giveUpReading(): void {
    if (this.#ended) {
      this.#stream?.reset(ErrorCode.NO_ERROR);
      return;
    }
    const text = "The request's body did not arrive in time. Send it at once.";
    this.#refuse(new MeshError("DEADLINE_EXCEEDED", text));
  }

  #refuse(thrown: unknown): void {
    this.#reader = undefined;
    this.fail(asMeshError(thrown));
  }

  takeData(piece: Buffer): boolean {
    // What follows a refusal is read and thrown away.
    const reader = this.#reader;
    if (reader === undefined) return true;
    try {
      const first = reader.empty;
      reader.take(piece);
      // Before the rest of a large request: a stranger must not make us hold megabytes.
      if (first && reader.incomplete) this.#door.house.identify(this.call.credential);
    } catch (thrown) {
      this.#refuse(thrown);
    }
    return true;
  }

  takeEnd(): void {
    const reader = this.#reader;
    this.#stopReading();
    if (reader === undefined) return;
    try {
      const message = reader.read(this.#encoding);
      if (message instanceof Promise) {
        message.then(
          (inflated) => this.#serve(inflated),
          (thrown) => this.#settle(thrown),
        );
      } else this.#serve(message);
    } catch (thrown) {
      this.#settle(thrown);
    }
  }

  takeClose(): void {
    this.#stream = undefined;
    this.#stopReading();
    this.#deadline?.cancel();
    if (this.#ended) return;
    this.#ended = true;
    this.call.cancellation.cancel(
      new MeshError("CALLER_GONE", "The caller went away before the answer was complete."),
    );
  }

  takeDrain(): void {
    const drained = this.#drained;
    this.#drained = undefined;
    drained?.();
  }

  /**
   * Not async, so that nothing holds the message while the upstream works: bytes that outlive a
   * scavenge are the dearest garbage.
   */
  #serve(message: Buffer): void {
    try {
      this.call.cancellation.throwIfCancelled();
      void this.#await(this.#method.serve(this, message));
    } catch (thrown) {
      this.#settle(thrown);
    }
  }

  async #await(answering: Promise<void>): Promise<void> {
    try {
      await answering;
      this.#deadline?.cancel();
    } catch (thrown) {
      this.#settle(thrown);
    }
  }

  /** Ends the call with whatever was thrown. */
  #settle(thrown: unknown): void {
    this.#deadline?.cancel();
    const { house } = this.#door;
    const { credential } = this.call;
    this.fail(this.#entered ? asMeshError(thrown) : mapRefusal(house, credential, thrown));
  }

  /** Called by a method when its request is sound and the journey begins. */
  enter(): void {
    this.#entered = true;
  }

  #stopReading(): void {
    this.#reader = undefined;
    if (this.#place === undefined) return;
    this.#door.readers.leave(this.#place);
    this.#place = undefined;
  }

  /** The journey hears of it and ends the call; before the journey the call ends here. */
  #deadlinePassed(): void {
    const error = new MeshError("DEADLINE_EXCEEDED", "The deadline passed before the answer came.");
    this.call.cancellation.cancel(error);
    if (this.#reader !== undefined) this.#refuse(error);
  }
}

// No date: no gRPC client looks at it, and each field costs.
const COMMON_FIELDS = [
  ...[":status", "200"],
  ...["content-type", "application/grpc+proto"],
  ...["grpc-accept-encoding", "gzip,identity"],
];
const OK_TRAILERS = ["grpc-status", "0"];
/** Beyond this a timer would fire at once; so long a deadline is none. */
const TIMER_MS_MAX = 2 ** 31 - 1;

function single(value: string | string[] | undefined): string | undefined {
  return typeof value === "string" ? value : value?.[0];
}
