import type { IncomingHttpHeaders } from "node:http2";
import type { Socket } from "node:net";
import type { Clock, Timer } from "../../mesh/clock.ts";
import type { ConnectionCore } from "./connection-core.ts";
import { ControlFrames } from "./control-frames.ts";
import { FloodGuard } from "./flood-guard.ts";
import type { FlushRound } from "./flush-round.ts";
import { type Frame, FrameReader, type FrameTaker } from "./frame-reader.ts";
import { FrameWriter } from "./frame-writer.ts";
import * as frame from "./frames.ts";
import { breach, ConnectionError, ErrorCode, STREAM_ID_MAX } from "./frames.ts";
import { H2Stream, type StreamOwner } from "./h2-stream.ts";
import { HpackError } from "./hpack-error.ts";
import { OpenStreams } from "./open-streams.ts";
import { Patience, type PatienceLimits } from "./patience.ts";
import { RequestFrames } from "./request-frames.ts";
import { Sender } from "./sender.ts";
import { ourSettings } from "./settings.ts";

/** What all connections of a port share. */
export interface ConnectionHome {
  readonly clock: Clock;
  readonly round: FlushRound;
  readonly limits: PatienceLimits;
  /** Told of what should never be thrown. It costs the connection, and no other. */
  readonly failed: (error: unknown) => void;
  /** Leads a request to its door, which sets the stream's receiver before it returns. */
  serve(stream: H2Stream, headers: IncomingHttpHeaders): void;
}

/**
 * One HTTP/2 connection, server's side, RFC 9113. Whatever its peer does hurts this connection
 * alone.
 */
export class H2Connection implements ConnectionCore, FrameTaker, StreamOwner {
  readonly writer: FrameWriter;
  readonly sender: Sender;
  readonly guard: FloodGuard;
  readonly streams = new OpenStreams();
  readonly encrypted: boolean;
  readonly #socket: Socket;
  readonly #home: ConnectionHome;
  readonly #reader = new FrameReader(this);
  readonly #requests: RequestFrames;
  readonly #control: ControlFrames;
  readonly #patience: Patience;
  #refusesStreams = false;
  /** True once the connection is closing or closed: what comes in is thrown away. */
  #done = false;
  /** Runs while the peer may not have heard of our leaving. */
  #notice: Timer | undefined;

  constructor(socket: Socket, home: ConnectionHome) {
    this.#socket = socket;
    this.#home = home;
    this.encrypted = "encrypted" in socket && socket.encrypted === true;
    this.writer = new FrameWriter(socket, home.round);
    this.guard = new FloodGuard(home.clock);
    this.sender = new Sender(this.writer, this.guard, (stream) => this.finished(stream));
    this.#requests = new RequestFrames(this);
    this.#control = new ControlFrames(this);
    this.#patience = new Patience(home.limits, home.clock.now());
    socket.on("data", (bytes: Buffer) => this.#takeBytes(bytes));
    socket.on("drain", () => this.#takeDrain());
    socket.on("close", () => this.#takeClose());
    this.writer.settings(ourSettings);
    this.#requests.announceWindow();
    socket.resume();
  }

  get done(): boolean {
    return this.#done;
  }

  get refusesStreams(): boolean {
    return this.#refusesStreams;
  }

  /**
   * Leaves in two steps, so that nothing that a peer sent before it could know is refused: first a
   * GOAWAY that still takes every stream, then, once a ping has come back, the one that takes no
   * more.
   */
  drain(): void {
    if (this.#done || this.#refusesStreams || this.#notice !== undefined) return;
    this.#notice = this.#home.clock.after(GOAWAY_NOTICE_MS, () => this.leave());
    this.writer.goaway(STREAM_ID_MAX, ErrorCode.NO_ERROR);
    this.writer.ping(DRAIN_PING, false);
  }

  /** Takes no more streams, and closes with the last one. */
  leave(): void {
    this.#notice?.cancel();
    if (this.#done || this.#refusesStreams) return;
    this.#refusesStreams = true;
    this.writer.goaway(this.streams.lastId, ErrorCode.NO_ERROR);
    if (this.streams.size === 0) this.#end(this.#home.limits.stallMs);
  }

  /** Cuts everything off. */
  destroy(): void {
    this.#done = true;
    this.#socket.destroy();
  }

  /** Looks whether the peer keeps the connection waiting; to be called now and then. */
  sweep(nowMs: number): void {
    if (this.#done) return;
    const verdict = this.#patience.judge(nowMs, {
      settled: this.#control.settled,
      midFrame: !this.#reader.atRest || this.#requests.unfinishedBlock !== 0,
      frames: this.#reader.count,
      blocked: this.writer.blocked,
      streams: this.streams,
    });
    if (verdict === "leave") this.leave();
    else if (verdict === "destroy") this.destroy();
  }

  takeFrame(taken: Frame): void {
    const { type, stream } = taken;
    if (!this.#control.settled && type !== frame.SETTINGS) breach("The first frame is SETTINGS.");
    const unfinished = this.#requests.unfinishedBlock;
    if (unfinished !== 0 && (type !== frame.CONTINUATION || stream !== unfinished)) {
      breach("A header block must be finished first.");
    }
    if (type === frame.DATA) this.#requests.takeData(taken);
    else if (type === frame.HEADERS) this.#requests.takeHeaders(taken);
    else if (type === frame.CONTINUATION) this.#requests.takeContinuation(taken);
    else this.#control.take(taken);
  }

  open(id: number): H2Stream {
    const stream = new H2Stream(id, this, this.sender.streamWindow);
    this.streams.add(stream);
    return stream;
  }

  serve(stream: H2Stream, headers: IncomingHttpHeaders): void {
    this.#home.serve(stream, headers);
  }

  sendHeaders(stream: H2Stream, fields: readonly string[], endsStream: boolean): void {
    this.guard.earn();
    this.writer.headers(stream.id, fields, endsStream);
  }

  sendData(stream: H2Stream, bytes: Buffer): boolean {
    return this.sender.send(stream, bytes);
  }

  sendEnd(stream: H2Stream, bytes: Buffer | undefined): void {
    this.sender.end(stream, bytes);
  }

  sendReset(stream: H2Stream, code: number): void {
    this.writer.reset(stream.id, code);
    // Its peer may still be sending, and does no wrong by it.
    this.streams.noteReset(stream.id);
    this.close(stream, code);
  }

  consumed(stream: H2Stream, bytes: number): void {
    this.#requests.consume(stream, bytes);
  }

  finished(stream: H2Stream): void {
    stream.answerSent = true;
    if (stream.requestEnded) this.close(stream, ErrorCode.NO_ERROR);
  }

  close(stream: H2Stream, code: number): void {
    this.streams.remove(stream);
    this.sender.forget(stream);
    if (stream.unused > 0) this.#requests.consumeOfConnection(stream.unused);
    stream.close(code);
    if (this.#refusesStreams && this.streams.size === 0) this.#end(this.#home.limits.stallMs);
  }

  fault(stream: H2Stream, code: ErrorCode): void {
    this.sendReset(stream, code);
    this.guard.spendFault();
  }

  faultOf(id: number, code: ErrorCode): void {
    this.writer.reset(id, code);
    this.streams.noteReset(id);
    this.guard.spendFault();
  }

  pingAnswered(): void {
    if (this.#notice !== undefined) this.leave();
  }

  peerLeaves(): void {
    this.leave();
  }

  #takeBytes(bytes: Buffer): void {
    if (this.#done) return;
    this.#patience.touch();
    try {
      this.#reader.read(bytes);
      if (this.writer.pendingBytes > PENDING_BYTES_MAX && this.writer.blocked) {
        throw new ConnectionError(ErrorCode.ENHANCE_YOUR_CALM, "It asks and does not listen.");
      }
    } catch (thrown) {
      this.#fail(thrown);
    }
  }

  #takeDrain(): void {
    this.#patience.touch();
    this.writer.unblock();
    if (this.#done) return;
    try {
      this.sender.pump();
    } catch (thrown) {
      this.#fail(thrown);
    }
  }

  #takeClose(): void {
    this.#done = true;
    this.#notice?.cancel();
    for (const stream of this.streams.list()) this.close(stream, ErrorCode.CANCEL);
  }

  /** Says why, and closes. Whatever was thrown, no other connection shall notice. */
  #fail(thrown: unknown): void {
    const code = codeOf(thrown);
    if (code === ErrorCode.INTERNAL_ERROR) this.#home.failed(thrown);
    this.writer.goaway(this.streams.lastId, code);
    this.#end(LINGER_MS);
    for (const stream of this.streams.list()) this.close(stream, ErrorCode.CANCEL);
  }

  /**
   * Closes once all that was written has left, for which there is so much time. The peer closes its
   * side as a rule; one that does not is cut off, but not at once: unread bytes would have the
   * system send a reset, which overtakes what was written.
   */
  #end(withinMs: number): void {
    if (this.#done) return;
    this.#done = true;
    this.writer.flush();
    this.#destroyIn(withinMs);
    this.#socket.end(() => this.#destroyIn(LINGER_MS));
  }

  #destroyIn(delayMs: number): void {
    this.#notice?.cancel();
    if (this.#socket.destroyed) return;
    this.#notice = this.#home.clock.after(delayMs, () => this.#socket.destroy());
  }
}

/** How long a peer may take to hear of a GOAWAY before new streams are refused. */
const GOAWAY_NOTICE_MS = 1_000;
const LINGER_MS = 1_000;
const DRAIN_PING = Buffer.from("draining");
/** Of answers to pings and the like, which flow control does not know of. */
const PENDING_BYTES_MAX = 1024 * 1024;

function codeOf(thrown: unknown): ErrorCode {
  if (thrown instanceof ConnectionError) return thrown.code;
  if (thrown instanceof HpackError) return ErrorCode.COMPRESSION_ERROR;
  return ErrorCode.INTERNAL_ERROR;
}
