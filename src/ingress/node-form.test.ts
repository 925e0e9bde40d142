import { once } from "node:events";
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
} from "node:http2";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { systemClock } from "../mesh/clock.ts";
import { createH2Exchange } from "./h2/h2-exchange.ts";
import { inNodeForm } from "./node-form.ts";
import type { NodeRequest } from "./node-request.ts";
import type { NodeResponse } from "./node-response.ts";
import { openPort, type Port } from "./port.ts";

type Handler = (request: NodeRequest, response: NodeResponse) => void;

let handler: Handler;
let port: Port;
let session: ClientHttp2Session;

beforeEach(async () => {
  port = await openPort({
    host: "127.0.0.1",
    port: 0,
    reusePort: false,
    clock: systemClock,
    http1: () => {},
    http2: (stream, headers) => {
      const exchange = createH2Exchange(stream, headers);
      inNodeForm(exchange, (request, response) => handler(request, response));
    },
  });
  session = connect(`http://127.0.0.1:${port.port}`);
  session.on("error", () => {});
});
afterEach(() => {
  session.destroy();
  port.close();
});

interface Answer {
  readonly headers: IncomingHttpHeaders;
  readonly trailers: IncomingHttpHeaders;
  readonly body: Buffer;
  /** Whether the header was all there was. */
  readonly bare: boolean;
}

function begin(headers: OutgoingHttpHeaders = {}): ClientHttp2Stream {
  const stream = session.request({ ":method": "POST", ":path": "/a?b", ...headers });
  stream.on("error", () => {});
  return stream;
}

async function answerOf(stream: ClientHttp2Stream): Promise<Answer> {
  const answer = { headers: {}, trailers: {}, bare: false };
  stream.on("response", (headers, flags) => {
    answer.headers = headers;
    answer.bare = (flags & 1) !== 0;
  });
  stream.on("trailers", (trailers) => {
    answer.trailers = trailers;
  });
  const pieces: Buffer[] = await stream.toArray();
  return { ...answer, body: Buffer.concat(pieces) };
}

describe("a request on a stream", () => {
  it("reads as one of node:http", async () => {
    handler = async (request, response) => {
      const { method, url, headers, httpVersionMajor, authority } = request;
      const pieces: Buffer[] = await request.toArray();
      const body = Buffer.concat(pieces).toString();
      const { "x-twice": twice } = headers;
      const { trailers } = request;
      const seen = { method, url, twice, httpVersionMajor, authority, body, trailers };
      response.end(JSON.stringify(seen));
    };
    const stream = session.request(
      { ":method": "POST", ":path": "/a?b", ":authority": "weir:1", "x-twice": ["1", "2"] },
      { waitForTrailers: true },
    );
    stream.on("wantTrailers", () => stream.sendTrailers({ "x-late": "3" }));
    stream.write("ab");
    stream.end("cd");
    expect(JSON.parse((await answerOf(stream)).body.toString())).toEqual({
      method: "POST",
      url: "/a?b",
      twice: "1, 2",
      httpVersionMajor: 2,
      authority: "weir:1",
      body: "abcd",
      trailers: { "x-late": "3" },
    });
  });

  it("keeps its sender waiting while nobody reads it", async () => {
    const arrived = Promise.withResolvers<NodeRequest>();
    handler = (request, response) => {
      arrived.resolve(request);
      request.on("end", () => response.end(String(size)));
      let size = 0;
      const count = (piece: Buffer) => {
        size += piece.length;
      };
      request.once("pleaseRead", () => request.on("data", count));
    };
    const stream = begin();
    stream.end(Buffer.alloc(3_000_000));
    const request = await arrived.promise;
    await expect.poll(() => request.readableLength).toBe(1024 * 1024);
    request.emit("pleaseRead");
    expect((await answerOf(stream)).body.toString()).toBe("3000000");
  });

  it("is thrown away when its answer did not wait for it", async () => {
    handler = (_request, response) => response.end("enough");
    const stream = begin();
    const answer = answerOf(stream);
    stream.end(Buffer.alloc(3_000_000));
    expect((await answer).body.toString()).toBe("enough");
    await expect.poll(() => port.openStreams()).toBe(0);
  });

  it("closes, and its response with it, when its sender gives up", async () => {
    const closed = Promise.withResolvers<number>();
    handler = (request, response) => {
      response.on("close", () => closed.resolve(request.stream.rstCode));
      response.writeHead(200);
    };
    const stream = begin();
    await once(stream, "response");
    stream.close(8);
    expect(await closed.promise).toBe(8);
  });

  it("has 100 Continue when it waits for that", async () => {
    handler = (request, response) => void request.pipe(response);
    const stream = begin({ expect: "100-continue" });
    stream.on("continue", () => stream.end("go"));
    expect((await answerOf(stream)).body.toString()).toBe("go");
  });

  it("is refused when it asks for a tunnel", async () => {
    const stream = session.request({ ":method": "CONNECT", ":authority": "elsewhere:1" });
    stream.end();
    expect((await answerOf(stream)).headers[":status"]).toBe(405);
  });
});

describe("a response on a stream", () => {
  it("has a header, a body and trailers", async () => {
    handler = (_request, response) => {
      response.setHeader("X-One", "0");
      response.setHeader("x-one", "1");
      response.setHeader("x-many", "gone too");
      response.writeHead(201, { "X-Many": ["2", "3"], "content-length": 4, gone: undefined });
      response.addTrailers({ "X-Late": "5" });
      response.write("ab");
      response.end("cd");
    };
    const stream = begin().end();
    const { headers, trailers, body } = await answerOf(stream);
    expect(headers).toMatchObject({ ":status": 201, "x-one": "1", "x-many": "2, 3" });
    expect(headers).not.toHaveProperty("gone");
    expect(Date.parse(headers.date ?? "")).toBeGreaterThan(0);
    expect(trailers).toMatchObject({ "x-late": "5" });
    expect(body.toString()).toBe("abcd");
  });

  it("ends with its header when there is nothing else", async () => {
    handler = (_request, response) => {
      response.statusCode = 204;
      response.end();
    };
    expect((await answerOf(begin().end())).bare).toBe(true);
  });

  it("sends a header that nothing follows yet", async () => {
    handler = (_request, response) => void response.writeHead(200, ["x-now", "1"]);
    const [headers] = await once(begin(), "response");
    expect(headers["x-now"]).toBe("1");
  });

  it("has no body when only the header was asked for", async () => {
    handler = (_request, response) => {
      response.writeHead(200, { "content-length": 5 });
      response.end("never");
    };
    const { headers, body } = await answerOf(begin({ ":method": "HEAD" }).end());
    expect([headers["content-length"], body.length]).toEqual(["5", 0]);
  });

  it("leaves out what is about a connection", async () => {
    handler = (_request, response) => {
      response.setHeader("Connection", "close");
      response.setHeader("transfer-encoding", "chunked");
      response.end("x");
    };
    const { headers } = await answerOf(begin().end());
    expect(Object.keys(headers)).toEqual([":status", "date"]);
  });

  it("refuses names that no field can have", () => {
    const refused = Promise.withResolvers<unknown>();
    handler = (_request, response) => {
      try {
        response.setHeader("a b", "c");
      } catch (thrown) {
        refused.resolve(thrown);
      }
    };
    begin().end();
    return expect(refused.promise).resolves.toBeInstanceOf(TypeError);
  });

  it("waits for a slow reader, and arrives whole", async () => {
    const piece = Buffer.alloc(100_000, "x");
    let written = 0;
    handler = (_request, response) => {
      const write = () => {
        while (written < 100 && !response.writableEnded) {
          written += 1;
          if (!response.write(piece)) {
            response.once("drain", write);
            return;
          }
        }
        response.end();
      };
      write();
    };
    const stream = begin().end();
    await once(stream, "response");
    expect(written).toBeLessThan(100);
    expect((await answerOf(stream)).body.length).toBe(10_000_000);
  });

  it("breaks off visibly when it is destroyed", async () => {
    handler = (_request, response) => {
      response.write("half");
      setImmediate(() => response.destroy());
    };
    const stream = begin().end();
    stream.resume();
    await once(stream, "close");
    expect(stream.rstCode).toBe(8);
  });

  it("says that it is finished before it closes", async () => {
    const events: string[] = [];
    const closed = Promise.withResolvers<void>();
    handler = (_request, response) => {
      response.on("finish", () => events.push("finish"));
      response.on("close", () => {
        events.push("close");
        closed.resolve();
      });
      response.end("x");
    };
    await answerOf(begin().end());
    await closed.promise;
    expect(events).toEqual(["finish", "close"]);
  });
});
