/** What a client is told whose bytes are no request that can be served. */
export interface Refusal {
  /** The status and its words. */
  readonly line: string;
  readonly message: string;
}

/** The largest head of a request, and the largest trailers. */
export const HEAD_BYTES_MAX = 32 * 1024;

export const malformed: Refusal = {
  line: "400 Bad Request",
  message: "This is no well-formed HTTP/1.1 request. Mend the client.",
};

export const wrongHost: Refusal = {
  line: "400 Bad Request",
  message: "An HTTP/1.1 request needs exactly one Host header. Send one.",
};

export const noTunnel: Refusal = {
  line: "405 Method Not Allowed",
  message: "This is no proxy that opens connections to others. Send the request itself.",
};

export const tooLate: Refusal = {
  line: "408 Request Timeout",
  message: "The request did not arrive in time. Send it faster.",
};

export const chunkExtensions: Refusal = {
  line: "413 Content Too Large",
  message: "The request's chunks have extensions. Send none.",
};

export const unmetExpectation: Refusal = {
  line: "417 Expectation Failed",
  message: "The only thing to expect is 100-continue. Expect nothing else.",
};

export const headTooLarge: Refusal = {
  line: "431 Request Header Fields Too Large",
  message: `The request's headers are larger than ${HEAD_BYTES_MAX} bytes, or too many. Send fewer.`,
};

/** Thrown where a request turns out to be none; its connection ends with this refusal. */
export class RequestFault extends Error {
  readonly refusal: Refusal;

  constructor(refusal: Refusal) {
    super(refusal.message);
    this.refusal = refusal;
  }
}

/** The whole answer, its connection's end announced. All text in it is ASCII. */
export function writeRefusal(refusal: Refusal): string {
  const { line, message } = refusal;
  const error = { message, type: "invalid_request_error", param: null, code: "INVALID_REQUEST" };
  const body = JSON.stringify({ error });
  return (
    `HTTP/1.1 ${line}\r\nconnection: close\r\ncontent-type: application/json\r\n` +
    `content-length: ${body.length}\r\n\r\n${body}`
  );
}
