import type { Socket } from "node:net";
import type { Clock, Timer } from "../../mesh/clock.ts";
import type { HttpExchange } from "../http-exchange.ts";
import { Backlog } from "./backlog.ts";
import { FieldBlock } from "./field-block.ts";
import { type ExchangeOwner, H1Exchange } from "./h1-exchange.ts";
import { Patience, type PatienceLimits, Phase } from "./patience.ts";
import { type Refusal, RequestFault, tooLate, writeRefusal } from "./refusal.ts";
import { type BodyTaker, RequestBody } from "./request-body.ts";
import { parseRequestHead } from "./request-head.ts";

/** What all connections of a port share. */
export interface ConnectionHome {
  readonly clock: Clock;
  readonly limits: PatienceLimits;
  /** The end of a head whose connection is kept. */
  readonly keepAliveText: string;
  /** Exchanges that are open. */
  open: number;
  /** True once each connection is to close with its answer. */
  draining: boolean;
  /** Leads a request to its door, which sets the exchange's receiver before it returns. */
  serve(exchange: HttpExchange): void;
  /** Told of what was thrown by whoever serves. */
  failed(error: unknown): void;
}

/**
 * One HTTP/1.1 connection, server's side, RFC 9112: one request at a time. What comes before its
 * turn waits. Whatever its peer does hurts this connection alone.
 */
export class H1Connection implements ExchangeOwner, BodyTaker {
  readonly socket: Socket;
  readonly encrypted: boolean;
  readonly #home: ConnectionHome;
  #phase: Phase = Phase.HEAD;
  readonly #block = new FieldBlock();
  #exchange: H1Exchange | undefined;
  /** Of the request that is being read. */
  #body: RequestBody | undefined;
  /** True while the client waits to be told to send its body. */
  #awaitsContinue = false;
  /** What the client sent while it was not its turn. */
  readonly #backlog = new Backlog();
  #paused = false;
  /** True while the next request waits for its turn of the event loop. */
  #scheduled = false;
  readonly #patience: Patience;
  #linger: Timer | undefined;

  constructor(socket: Socket, home: ConnectionHome) {
    this.socket = socket;
    this.#home = home;
    this.encrypted = "encrypted" in socket && socket.encrypted === true;
    this.#patience = new Patience(socket, home.limits);
    socket.on("data", (bytes: Buffer) => this.#takeBytes(bytes));
    socket.on("drain", () => this.#takeDrain());
    socket.on("end", () => this.#takeEnd());
    socket.on("close", () => this.#takeClose());
    socket.resume();
  }

  get keepAliveText(): string {
    return this.#home.keepAliveText;
  }

  /** Closes as soon as no request is open. */
  drain(): void {
    const idle = this.#phase === Phase.HEAD && !this.#block.begun;
    if (idle || this.#phase === Phase.IDLE) this.#end();
  }

  /** Cuts everything off. */
  destroy(): void {
    this.#phase = Phase.DONE;
    this.socket.destroy();
  }

  /** Looks whether the peer keeps the connection waiting; to be called now and then. */
  sweep(nowMs: number): void {
    if (!this.#patience.isOver(nowMs, this.#phase)) return;
    if (this.#phase === Phase.IDLE) this.#end();
    else this.#refuse(tooLate);
  }

  mayGoOn(): boolean {
    if (this.#home.draining) return false;
    if (this.#phase !== Phase.BODY) return true;
    // What is left of the request would have to be read before the next one.
    return !this.#awaitsContinue && (this.#body?.left ?? 0) <= REST_BYTES_MAX;
  }

  answered(exchange: H1Exchange): void {
    const goesOn = exchange.keepAlive && !this.#home.draining;
    const whole = exchange.requestEnded;
    this.#release(0);
    if (!goesOn) this.#end(whole && exchange.last);
    else if (whole) this.#rest();
    else this.#unpause();
  }

  broken(_exchange: H1Exchange, code: number): void {
    this.#phase = Phase.DONE;
    this.#release(code);
    this.socket.destroy();
  }

  consumed(): void {
    // In any phase: it shows on a socket that is read when its peer goes away.
    if (this.#backlog.size < HELD_BYTES_MAX) this.#unpause();
  }

  #takeBytes(bytes: Buffer): void {
    try {
      this.#read(bytes);
    } catch (thrown) {
      if (thrown instanceof RequestFault) this.#refuse(thrown.refusal);
      else this.#fail(thrown);
    }
  }

  /** Whatever was thrown behind the port, no other connection shall notice. */
  #fail(thrown: unknown): void {
    this.#home.failed(thrown);
    this.destroy();
  }

  #read(bytes: Buffer): void {
    const { round } = this.#patience;
    let at = 0;
    while (at < bytes.length) {
      if (this.#phase === Phase.BODY && this.#body !== undefined) {
        at = this.#readBody(this.#body, bytes, at);
      } else if (this.#phase === Phase.HEAD) at = this.#readHead(bytes, at);
      else if (this.#phase === Phase.IDLE) {
        // One request a turn, so that nobody fills a turn with many of them.
        if (this.#patience.round !== round || this.#scheduled || this.socket.writableNeedDrain) {
          this.#hold(bytes, at);
          return;
        }
        at = this.#readHead(bytes, at);
      } else {
        if (this.#phase === Phase.ANSWER) this.#hold(bytes, at);
        return;
      }
    }
  }

  #readHead(bytes: Buffer, from: number): number {
    const block = this.#block;
    const end = block.read(bytes, from);
    if (end < 0) {
      if (this.#phase === Phase.IDLE) this.#enter(Phase.HEAD);
      return bytes.length;
    }
    // An empty line before a request, which old clients send behind a body.
    if (block.text === "") return end;
    const head = parseRequestHead(block.text);
    block.text = "";
    const exchange = new H1Exchange(head, this);
    this.#exchange = exchange;
    this.#home.open += 1;
    if (this.#phase === Phase.IDLE) this.#patience.begin();
    const { bodyBytes } = head;
    if (bodyBytes === 0) {
      this.#phase = Phase.ANSWER;
      exchange.requestEnded = true;
      this.#home.serve(exchange);
      exchange.receiver.takeEnd(undefined);
      return end;
    }
    this.#phase = Phase.BODY;
    this.#body = new RequestBody(bodyBytes, this);
    this.#awaitsContinue = head.expectsContinue;
    this.#home.serve(exchange);
    if (this.#awaitsContinue) this.#continue(exchange, end < bytes.length);
    return end;
  }

  /** Tells a client that waits for it to send its body, unless it has begun, or has its answer. */
  #continue(exchange: H1Exchange, begun: boolean): void {
    if (exchange.headersSent || exchange.closed) return;
    this.#awaitsContinue = false;
    if (!begun) this.socket.write("HTTP/1.1 100 Continue\r\n\r\n", "latin1");
  }

  #readBody(body: RequestBody, bytes: Buffer, from: number): number {
    const at = body.read(bytes, from);
    if (body.ended) this.#endRequest(body);
    return at;
  }

  /** For the body of the request: a piece of it. What nobody wants is thrown away. */
  takeBody(bytes: Buffer): void {
    const exchange = this.#exchange;
    if (exchange !== undefined && !exchange.receiver.takeData(bytes)) this.#pause();
  }

  #endRequest(body: RequestBody): void {
    if (this.#phase !== Phase.BODY) return;
    this.#body = undefined;
    const exchange = this.#exchange;
    if (exchange === undefined) {
      this.#rest();
      return;
    }
    this.#phase = Phase.ANSWER;
    exchange.requestEnded = true;
    exchange.receiver.takeEnd(body.trailers);
  }

  /** Lets go of the exchange. */
  #release(code: number): void {
    const exchange = this.#exchange;
    if (exchange === undefined) return;
    this.#exchange = undefined;
    this.#home.open -= 1;
    exchange.close(code);
  }

  /** One request is over; the next one may be there already. */
  #rest(): void {
    this.#enter(Phase.IDLE);
    if (this.#home.draining) this.#end();
    else if (this.#backlog.size > 0) this.#schedule();
    else this.#unpause();
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(takeHeld, this);
  }

  /** For `takeHeld()`: goes on with what came before its turn. */
  takeHeld(): void {
    this.#scheduled = false;
    if (this.#phase !== Phase.IDLE || this.socket.writableNeedDrain) return;
    const held = this.#backlog.take();
    this.#unpause();
    this.#takeBytes(held);
  }

  #hold(bytes: Buffer, from: number): void {
    this.#backlog.add(bytes, from);
    if (this.#backlog.size >= HELD_BYTES_MAX) this.#pause();
    if (this.#phase === Phase.IDLE && !this.socket.writableNeedDrain) this.#schedule();
  }

  #pause(): void {
    this.#paused = true;
    this.socket.pause();
  }

  #unpause(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.socket.resume();
  }

  #enter(phase: Phase): void {
    this.#phase = phase;
    this.#patience.begin();
  }

  #takeDrain(): void {
    const exchange = this.#exchange;
    if (exchange?.wantsDrain === true) {
      exchange.wantsDrain = false;
      try {
        exchange.receiver.takeDrain();
      } catch (thrown) {
        this.#fail(thrown);
      }
    } else if (this.#phase === Phase.IDLE && this.#backlog.size > 0) this.#schedule();
  }

  /**
   * The client sends no more: it is gone, as far as anybody can tell, and nobody shall work for it.
   * The port's sockets close their other half by themselves.
   */
  #takeEnd(): void {
    this.#phase = Phase.DONE;
    this.#release(CANCEL);
  }

  #takeClose(): void {
    this.#phase = Phase.DONE;
    this.#linger?.cancel();
    this.#backlog.clear();
    this.#release(CANCEL);
  }

  /** Answers what is no request, or not in time, and closes. */
  #refuse(refusal: Refusal): void {
    if (this.#phase === Phase.DONE) return;
    const exchange = this.#exchange;
    // The request whose rest this is has had its answer.
    if (this.#phase === Phase.BODY && exchange === undefined) {
      this.#end();
      return;
    }
    // It cannot be mixed into an answer that has begun.
    if (exchange?.headersSent === true) {
      this.destroy();
      this.#release(CANCEL);
      return;
    }
    this.#phase = Phase.DONE;
    this.#release(CANCEL);
    this.socket.write(writeRefusal(refusal), "latin1");
    this.#end();
  }

  /**
   * Closes once all that was written has left. What still comes is thrown away: bytes that nobody
   * reads would have the system send a reset, which overtakes what was written. Who sends on is cut
   * off; and so is, at once, who said itself that it has nothing more to say.
   */
  #end(silent = false): void {
    this.#phase = Phase.DONE;
    this.#backlog.clear();
    const { socket } = this;
    if (silent) {
      socket.destroySoon();
      return;
    }
    this.#unpause();
    socket.end(() => {
      if (socket.destroyed) return;
      this.#linger = this.#home.clock.after(LINGER_MS, () => socket.destroy());
    });
  }
}

/** What may wait of requests that are sent before their turn. */
const HELD_BYTES_MAX = 64 * 1024;
/** What is read of a body that nobody wants, for the connection's sake. */
const REST_BYTES_MAX = 64 * 1024;
const LINGER_MS = 2_000;
/** As HTTP/2 counts. */
const CANCEL = 8;

function takeHeld(connection: H1Connection): void {
  connection.takeHeld();
}
