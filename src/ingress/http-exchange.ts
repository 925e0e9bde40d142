import type { IncomingHttpHeaders } from "node:http";

/**
 * One request and its answer, whichever version of HTTP they travel by. Neither an emitter nor a
 * stream of node's: it calls one receiver, and costs no listener, no closure and no promise.
 * Everything may be called at any time; what comes too late is ignored.
 */
export interface HttpExchange {
  /** As it is written in messages. */
  readonly version: "1.0" | "1.1" | "2.0";
  readonly method: string;
  /** The request's target, as it came. */
  readonly url: string;
  /** By lower-case name, a character for each octet; joined as node joins fields of one name. */
  readonly headers: IncomingHttpHeaders;
  readonly encrypted: boolean;
  /** A door sets it in the turn in which it gets the exchange. */
  receiver: ExchangeReceiver;
  /** Whether the request has come to its end. */
  readonly requestEnded: boolean;
  /** Whether `respond()` was called. */
  readonly headersSent: boolean;
  /** Whether `end()` was called. */
  readonly answerEnded: boolean;
  /** True once it is over: nothing can be sent, and nothing comes any more. */
  readonly closed: boolean;
  /** Why it is over, as HTTP/2 counts reasons; 0 when all is well, or when it is not over. */
  readonly closeCode: number;
  /**
   * Begins the answer: names in lower case, and values, in turn. It leaves with the first bytes of
   * the body, with `flush()` or with `end()`. Throws a TypeError for what cannot be in a header.
   * Fields about the connection are the connection's own business, and are left out.
   */
  respond(status: number, fields: readonly string[]): void;
  /** Sends the answer's header, should it still wait. */
  flush(): void;
  /**
   * Sends a part of the body, which must not change any more; text leaves as UTF-8. False when it
   * has to wait for the peer: `takeDrain()` will tell. An answer to HEAD has no body: what is
   * written of it is left out.
   */
  write(part: Buffer | string): boolean;
  /** Lets what is written from now on leave with the answer's end, where that saves a write. */
  cork(): void;
  /**
   * Ends the answer with this part of the body, and trailers: names and values in turn. What is
   * left of the request is read and thrown away, as far as that makes sense.
   */
  end(part?: Buffer | string, trailers?: readonly string[]): void;
  /** Breaks it off, both ways. What has not left yet never will. */
  reset(code: number): void;
  /** Says that bytes were used which `takeData()` could not take at once. */
  consume(bytes: number): void;
}

/** Whoever serves an exchange. All of it is called from the connection, and must not throw. */
export interface ExchangeReceiver {
  /**
   * Bytes of the request's body, which are the receiver's from now on. False when it cannot take
   * more for now: it then has to call `consume()` once it has used them.
   */
  takeData(bytes: Buffer): boolean;
  /** The request is complete. */
  takeEnd(trailers: IncomingHttpHeaders | undefined): void;
  /** What `write()` had to hold back has left. */
  takeDrain(): void;
  /** The last call: it is over. 0 when both sides came to their end. */
  takeClose(code: number): void;
}

/** Takes everything and does nothing: a request that nobody wants is read to its end. */
export const nobody: ExchangeReceiver = {
  takeData: () => true,
  takeEnd: () => {},
  takeDrain: () => {},
  takeClose: () => {},
};
