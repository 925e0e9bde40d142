import type { Decision } from "../../../gen/weir/v1/chat_pb.ts";
import type { StreamWriter } from "../../dialects/dialect.ts";
import type { DialectName } from "../../mesh/ask.ts";
import type { ChatChunk } from "../../mesh/chunk.ts";
import type { Timer } from "../../mesh/clock.ts";
import { asMeshError } from "../../mesh/errors.ts";
import type { Outcome } from "../../mesh/outcome.ts";
import { QUOTA_FINISH } from "../../mesh/quota.ts";
import type { ChatSink } from "../../mesh/sink.ts";
import type { Exchange } from "./exchange.ts";
import { createHead } from "./response-head.ts";

/** A comment: clients skip it, and what lies between sees that the stream lives. */
const KEEP_ALIVE = ": weir\n\n";

/**
 * Writes a stream as server-sent events. Nothing is sent before the first chunk, so that whatever
 * fails until then is an HTTP error. One write for each chunk, and nothing is allocated for it but
 * its bytes.
 */
export class SseSink implements ChatSink {
  readonly #exchange: Exchange;
  readonly #writer: StreamWriter;
  readonly #passes: DialectName | undefined;
  #decision: Decision | undefined;
  #begun = false;
  /** The frames that were passed on last; undefined when none were. */
  #passed: Buffer | undefined;
  /** Whether anything was sent since the silence was last looked at. */
  #spoke = false;
  #silence: Timer | undefined;
  /** True while the response's buffer is full. */
  #behind = false;
  #drained: (() => void) | undefined;
  /** The last frames, which go out together with the terminal one: a write fewer a stream. */
  #last: Buffer | string | undefined;

  /** `passes` names the dialect whose wire form the caller may have as it is. */
  constructor(exchange: Exchange, writer: StreamWriter, passes: DialectName | undefined) {
    this.#exchange = exchange;
    this.#writer = writer;
    this.#passes = passes;
  }

  /** True once there is something for the caller, so that an error can only be an event. */
  get begun(): boolean {
    return this.#begun || this.#last !== undefined;
  }

  start(decision: Decision): void {
    this.#decision = decision;
  }

  chunk(chunk: ChatChunk, last?: boolean): boolean {
    const wire = chunk.wire;
    if (wire !== undefined && wire.dialect === this.#passes) {
      this.#passed = wire.bytes;
      return this.#take(wire.bytes, last);
    }
    // In this order: writers are stateful, and what a chunk cannot be written as is still an HTTP
    // error.
    const opening = this.#begun ? "" : this.#opening();
    return this.#take(opening + this.#writer.events(chunk.events()), last);
  }

  ready(): Promise<void> {
    const { cancellation } = this.#exchange.call;
    if (cancellation.cause !== undefined) return Promise.reject(cancellation.cause);
    if (!this.#behind) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const stop = cancellation.onCancel((cause) => {
        this.#drained = undefined;
        reject(cause);
      });
      this.#drained = () => {
        stop();
        resolve();
      };
    });
  }

  /**
   * Ends a good stream. Only now, since the terminal frame says that all is well, the record
   * included.
   */
  end(outcome: Outcome): void {
    this.#decision ??= outcome.decision;
    const opening = this.begun ? "" : this.#opening();
    this.#finish(opening + this.#ending(outcome));
  }

  /** Ends a broken stream with an error event. */
  fail(thrown: unknown): void {
    this.#finish(this.#writer.error(asMeshError(thrown), this.#exchange.call.requestId));
  }

  /** Lets go of timers and listeners. */
  close(): void {
    this.#silence?.cancel();
    this.#exchange.caller.drained = undefined;
  }

  #ending(outcome: Outcome): string {
    const passed = this.#passed;
    const cut = passed !== undefined && outcome.finish.raw === QUOTA_FINISH;
    if (cut && this.#writer.cut !== undefined) return this.#writer.cut(outcome, passed);
    return this.#writer.end(outcome, passed !== undefined);
  }

  /** Sends the headers of a stream that goes on. */
  #begin(): void {
    const { house, options } = this.#exchange;
    this.#sendHead();
    // Twice in the time, so that no silence is longer than the whole of it; a chunk then needs no
    // timer of its own.
    this.#silence = house.clock.every(options.silenceMs / 2, () => this.#breakSilence());
  }

  #sendHead(): void {
    this.#begun = true;
    const head = createHead(this.#exchange, "text/event-stream; charset=utf-8", this.#decision);
    head.push("cache-control", "no-cache", "x-accel-buffering", "no");
    this.#exchange.http.respond(200, head);
  }

  /** The dialect's first frames; a stream that is passed through has its own. */
  #opening(): string {
    if (this.#decision === undefined) return "";
    return this.#writer.start(this.#decision, this.#exchange.call.startedWallMs);
  }

  #take(frames: Buffer | string, last: boolean | undefined): boolean {
    if (last === true) {
      this.#last = frames;
      return true;
    }
    if (!this.#begun) this.#begin();
    return frames.length === 0 ? !this.#behind : this.#write(frames);
  }

  /** Sends what is left: headers, the last chunk and these frames in one write. */
  #finish(frames: string): void {
    const { http } = this.#exchange;
    if (http.closed) return;
    const last = this.#last;
    if (typeof last !== "object") {
      if (!this.#begun) this.#sendHead();
      http.end(last === undefined ? frames : last + frames);
      return;
    }
    // Held together by the connection: joining them would copy all of it.
    http.cork();
    if (!this.#begun) this.#sendHead();
    http.write(last);
    http.end(frames);
  }

  #write(frames: Buffer | string): boolean {
    this.#spoke = true;
    if (this.#exchange.http.write(frames)) return true;
    this.#fallBehind();
    return false;
  }

  #fallBehind(): void {
    if (this.#behind) return;
    this.#behind = true;
    this.#exchange.caller.drained = this.#onDrain;
  }

  readonly #onDrain = (): void => {
    this.#behind = false;
    this.#exchange.caller.drained = undefined;
    const drained = this.#drained;
    this.#drained = undefined;
    drained?.();
  };

  #breakSilence(): void {
    if (!this.#spoke && !this.#behind) this.#write(KEEP_ALIVE);
    this.#spoke = false;
  }
}
