import { type ExchangeReceiver, nobody } from "../http-exchange.ts";
import { ErrorCode } from "./frames.ts";
import { ReceiveWindow } from "./receive-window.ts";

/** Whoever serves a stream. */
export type StreamReceiver = ExchangeReceiver;

/** What a stream needs of its connection. */
export interface StreamOwner {
  readonly encrypted: boolean;
  sendHeaders(stream: H2Stream, fields: readonly string[], endsStream: boolean): void;
  /** False when some of it has to wait. */
  sendData(stream: H2Stream, bytes: Buffer): boolean;
  sendEnd(stream: H2Stream, bytes: Buffer | undefined): void;
  sendReset(stream: H2Stream, code: number): void;
  /** The answer's last frame was written. */
  finished(stream: H2Stream): void;
  consumed(stream: H2Stream, bytes: number): void;
}

/**
 * One request and its answer. Neither an emitter nor a stream of node's: it calls one receiver, and
 * costs no listener, no closure and no promise. Everything may be called at any time; what comes
 * too late is ignored.
 */
export class H2Stream {
  readonly id: number;
  /** A door sets it as soon as it has the stream. */
  receiver: StreamReceiver = nobody;

  // The books of the connection; doors have no business with them but to look.

  /** How much the peer lets us send; less than nothing when it changed its mind. */
  sendWindow: number;
  readonly receiveWindow = new ReceiveWindow(STREAM_WINDOW_BYTES);
  /** What waits to be sent, in order. */
  readonly held: HeldBytes[] = [];
  /** Sent after the last bytes. */
  trailers: readonly string[] | undefined;
  /** True while it waits for its turn on the connection. */
  waiting = false;
  /** True when the receiver was told to wait. */
  wantsDrain = false;
  /** True once the answer's last frame was written. */
  answerSent = false;
  /** Bytes that the request must still have; undefined when its length was not told. */
  bodyLeft: number | undefined;
  /** Bytes the receiver has not used yet. */
  unused = 0;
  /** Since when the peer has kept it waiting, as far as the sweep over all streams knows. */
  stalledMs: number | undefined;

  readonly #owner: StreamOwner;
  #requestEnded = false;
  #answerEnded = false;
  #headersSent = false;
  #closeCode: number | undefined;

  constructor(id: number, owner: StreamOwner, sendWindow: number) {
    this.id = id;
    this.#owner = owner;
    this.sendWindow = sendWindow;
  }

  get headersSent(): boolean {
    return this.#headersSent;
  }

  /** Whether the request has come to its end. */
  get requestEnded(): boolean {
    return this.#requestEnded;
  }

  /** Whether the answer's end was written; it may still have to wait for the peer. */
  get answerEnded(): boolean {
    return this.#answerEnded;
  }

  get closed(): boolean {
    return this.#closeCode !== undefined;
  }

  /** Why it is over; NO_ERROR as long as it is not. */
  get closeCode(): number {
    return this.#closeCode ?? ErrorCode.NO_ERROR;
  }

  get encrypted(): boolean {
    return this.#owner.encrypted;
  }

  /** Sends the answer's header: names in lower case and values in turn, `:status` first. */
  respond(fields: readonly string[], ends = false): void {
    if (this.closed || this.#headersSent) return;
    this.#headersSent = true;
    if (ends) this.#answerEnded = true;
    this.#owner.sendHeaders(this, fields, ends);
    if (ends) this.#owner.finished(this);
  }

  /** Sends a header before the answer's own, of a status from 100 to 199. */
  inform(fields: readonly string[]): void {
    if (!this.closed && !this.#headersSent) this.#owner.sendHeaders(this, fields, false);
  }

  /**
   * Sends bytes, which must not change any more. False when they have to wait for the peer:
   * `takeDrain()` will tell.
   */
  write(bytes: Buffer): boolean {
    if (this.closed || this.#answerEnded) return false;
    if (bytes.length === 0 || this.#owner.sendData(this, bytes)) return true;
    this.wantsDrain = true;
    return false;
  }

  /** Ends the answer, with these bytes and trailers. */
  end(bytes?: Buffer, trailers?: readonly string[]): void {
    if (this.closed || this.#answerEnded) return;
    this.#answerEnded = true;
    this.trailers = trailers;
    this.#owner.sendEnd(this, bytes);
  }

  /** Breaks the stream off, both ways. What has not left yet never will. */
  reset(code: number): void {
    if (!this.closed) this.#owner.sendReset(this, code);
  }

  /** Says that bytes were used which `takeData()` could not take at once. */
  consume(bytes: number): void {
    if (!this.closed) this.#owner.consumed(this, bytes);
  }

  /** For the connection: the request's last frame came. */
  endRequest(): void {
    this.#requestEnded = true;
  }

  /** For the connection: lets go of everything, and tells the receiver. */
  close(code: number): void {
    if (this.closed) return;
    this.#closeCode = code;
    const { receiver } = this;
    this.receiver = nobody;
    this.held.length = 0;
    receiver.takeClose(code);
  }
}

/** Bytes that wait to be sent. */
export interface HeldBytes {
  readonly bytes: Buffer;
  /** How many of them have left. */
  sent: number;
}

/** What a peer may send on a stream before it hears from us. */
export const STREAM_WINDOW_BYTES = 1024 * 1024;
