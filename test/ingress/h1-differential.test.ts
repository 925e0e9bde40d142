import { createServer as createHttpServer, type IncomingHttpHeaders } from "node:http";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type ConnectionHome, H1Connection } from "../../src/ingress/h1/connection.ts";
import type { ExchangeReceiver, HttpExchange } from "../../src/ingress/http-exchange.ts";
import { systemClock } from "../../src/mesh/clock.ts";

const RUNS = Number(process.env.FC_RUNS ?? 1000);

/** A request that was understood to its end. */
interface Served {
  readonly method: string;
  readonly url: string;
  readonly version: string;
  readonly headers: IncomingHttpHeaders;
  readonly trailers: IncomingHttpHeaders;
  readonly body: string;
}

/** One side of the comparison: what its newest connection understood. */
interface Side {
  readonly port: number;
  readonly served: Served[];
  readonly socket: Socket | undefined;
  begin(): void;
  close(): void;
}

let theirs: Side;
let ours: Side;

beforeAll(async () => {
  [theirs, ours] = await Promise.all([openTheirs(), openOurs()]);
});
afterAll(() => {
  theirs.close();
  ours.close();
});

async function openTheirs(): Promise<Side> {
  const side = new Recorder();
  const server = createHttpServer(
    { maxHeaderSize: 32 * 1024, requireHostHeader: false },
    (request, response) => {
      const { served } = side;
      const pieces: Buffer[] = [];
      request.on("data", (piece: Buffer) => pieces.push(piece));
      request.on("error", () => {});
      request.on("end", () => {
        const { method = "", url = "", httpVersion: version, headers, trailers } = request;
        const body = Buffer.concat(pieces).toString("latin1");
        served.push({ method, url, version, headers, trailers, body });
        response.end("ok");
      });
    },
  );
  server.on("connection", (socket: Socket) => side.accept(socket));
  server.on("clientError", (_error, socket) => socket.destroy());
  return await side.listen(server);
}

async function openOurs(): Promise<Side> {
  const side = new Recorder();
  const home: ConnectionHome = {
    clock: systemClock,
    limits: { headersMs: 60_000, requestMs: 60_000, idleMs: 60_000 },
    keepAliveText: "connection: keep-alive\r\n\r\n",
    open: 0,
    draining: false,
    serve: (exchange) => {
      exchange.receiver = new Listener(exchange, side.served);
    },
    failed: (error) => {
      throw error;
    },
  };
  const server = createServer((socket) => {
    side.accept(socket);
    new H1Connection(socket, home);
  });
  return await side.listen(server);
}

class Recorder implements Side {
  served: Served[] = [];
  socket: Socket | undefined;
  port = 0;
  #server: Server | undefined;

  begin(): void {
    this.served = [];
    this.socket = undefined;
  }

  accept(socket: Socket): void {
    this.socket = socket;
    socket.on("error", () => {});
  }

  async listen(server: Server): Promise<this> {
    this.#server = server;
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address() as AddressInfo;
    this.port = address.port;
    return this;
  }

  close(): void {
    this.socket?.destroy();
    this.#server?.close();
  }
}

/** Answers a request once it has come to its end. */
class Listener implements ExchangeReceiver {
  readonly #exchange: HttpExchange;
  readonly #served: Served[];
  #body = "";

  constructor(exchange: HttpExchange, served: Served[]) {
    this.#exchange = exchange;
    this.#served = served;
  }

  takeData(bytes: Buffer): boolean {
    this.#body += bytes.toString("latin1");
    return true;
  }

  takeEnd(trailers: IncomingHttpHeaders = {}): void {
    const { method, url, version, headers } = this.#exchange;
    const body = this.#body;
    this.#served.push({
      ...{ method, url, version, body },
      ...{ headers: { ...headers }, trailers: { ...trailers } },
    });
    this.#exchange.respond(200, ["content-length", "2"]);
    this.#exchange.end("ok");
  }

  takeDrain(): void {}

  takeClose(): void {}
}

interface Verdict {
  readonly served: readonly Served[];
  /** Whether the connection was closed although its client would have gone on. */
  readonly closed: boolean;
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

/** Sends bytes in these pieces, each once the one before was read, and looks what became of them. */
async function send(side: Side, pieces: readonly Buffer[], requests: number): Promise<Verdict> {
  side.begin();
  const client = connect({ port: side.port, host: "127.0.0.1", noDelay: true });
  let closed = false;
  const ended = new Promise<void>((resolve) => client.on("close", () => resolve()));
  client.on("error", () => {});
  client.on("end", () => {
    closed = true;
  });
  client.on("close", () => {
    closed = true;
  });
  client.resume();
  let sent = 0;
  for (const piece of pieces) {
    if (piece.length > 0) client.write(piece);
    sent += piece.length;
    while (!closed && (side.socket === undefined || side.socket.bytesRead < sent)) await turn();
  }
  // Whoever refuses closes: with what was read all is decided but the turns it takes.
  for (let left = 4 + 4 * requests; left > 0 && !closed; left -= 1) await turn();
  const verdict = { served: side.served, closed: closed || side.socket?.writable !== true };
  client.destroy();
  await ended;
  return verdict;
}

const mostly = (good: readonly string[], bad: readonly string[]) =>
  fc.oneof({ weight: 12, arbitrary: fc.constantFrom(...good) }, fc.constantFrom(...bad));
const end = mostly(["\r\n"], ["\n", "\r", "\r\r\n", "\n\r", " \r\n", "\r\n\r\n", ""]);
const method = mostly(
  ["GET", "POST", "PUT", "OPTIONS", "DELETE", "PATCH"],
  ["get", "PROPFIND", "G T", "", "GET\0", "TRACE", "LOCK", "MKCOL"],
);
const target = mostly(
  ["/", "/a?b=c", "/v1/models/a%20b", "http://weir/a", "/~!$&'()*+,;=:@"],
  ["*", "a", "", "/a b", "/#x", "http://a@b/", "//", "/\x80", "/\t", "ftp://x/", "/\x7f"],
);
const version = mostly(["HTTP/1.1"], ["HTTP/1.0", "HTTP/2.0", "http/1.1", "HTTP/1.1 ", "HTTP/11"]);
const name = mostly(
  ["x-a", "X-A", "Accept", "Cookie", "Set-Cookie", "Authorization", "Content-Type", "Origin"],
  [
    "x a",
    "x\t",
    " x",
    "",
    "x\x80",
    "x:",
    "Host",
    "x(",
    "Connection",
    "Expect",
    "Trailer",
    "Upgrade",
  ],
);
const value = mostly(
  ["a", "b c", "", " padded \t", "\xe9", "a,b", "a:b", "close", "100-continue"],
  ["a\0", "a\x01b", "a\nb", "a\r\n b", "\x7f", "a\rb", "chunked", "websocket"],
);
const line = fc
  .tuple(name, mostly([": ", ":"], [" :", "", "=", ":\t"]), value, end)
  .map((parts) => parts.join(""));
const size = mostly(
  ["3", "003"],
  ["", "-1", "0x3", "3 ", "3;a=b", "3;", "g", "ffffffffffffffffff"],
);
const chunk = fc
  .tuple(size, end, mostly(["abc"], ["ab", "abcd"]), end)
  .map((parts) => parts.join(""));
const trailers = fc.array(line, { maxLength: 1 }).map((lines) => lines.join(""));
const chunked = fc
  .tuple(
    mostly(
      ["Transfer-Encoding: chunked\r\n"],
      [
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
      ],
    ),
    end,
    fc.array(chunk, { maxLength: 3 }),
    mostly(["0\r\n"], ["00\r\n", "0;x\r\n", "0\n", "0 \r\n"]),
    trailers,
    end,
  )
  .map(
    ([head, empty, chunks, last, late, tail]) =>
      head + empty + chunks.join("") + last + late + tail,
  );
const measured = fc
  .tuple(
    mostly(
      ["Content-Length: 3", "content-length:3 "],
      ["Content-Length: +3", "Content-Length: 3\r\nContent-Length: 3", "Content-Length: 3,3"],
    ),
    end,
    end,
  )
  .map(([length, first, second]) => `${length}${first}${second}abc`);
const rest = fc.oneof(end, measured, chunked);
const request = fc
  .tuple(
    method,
    mostly([" "], ["  ", "\t", ""]),
    target,
    fc.constant(" "),
    version,
    end,
    mostly(["Host: weir\r\n"], ["", "Host: a\r\nHost: b\r\n", "Host: a b\r\n", "Host:\r\n"]),
    fc.array(line, { maxLength: 3 }).map((lines) => lines.join("")),
    rest,
  )
  .map((parts) => parts.join(""));
/** One octet anywhere put in, taken away or changed. */
const mutation = fc.record({
  at: fc.double({ min: 0, max: 1, noNaN: true }),
  remove: fc.integer({ min: 0, max: 2 }),
  insert: fc.constantFrom("", "\0", "\n", "\r", "\r\n", " ", "\t", ":", "x", "\x80", ";", "0"),
});
const sent = fc
  .tuple(fc.array(request, { minLength: 1, maxLength: 3 }), fc.array(mutation, { maxLength: 1 }))
  .map(([requests, mutations]) => {
    let text = requests.join("");
    for (const { at, remove, insert } of mutations) {
      const index = Math.floor(at * text.length);
      text = text.slice(0, index) + insert + text.slice(index + remove);
    }
    // Ends the head that may be open: ours is judged when it is whole, and not before.
    text += "\r\n\r\n";
    return { text, requests: requests.length };
  });

const octets = (maxLength: number) =>
  fc
    .array(fc.integer({ min: 0, max: 255 }), { maxLength })
    .map((codes) => String.fromCharCode(...codes));

describe("HTTP/1.1 next to node:http", () => {
  it("is never laxer, and understands the same", async () => {
    await fc.assert(
      fc.asyncProperty(sent, async ({ text, requests }) => {
        const bytes = [Buffer.from(text, "latin1")];
        const [their, our] = [
          await send(theirs, bytes, requests),
          await send(ours, bytes, requests),
        ];
        const alike = their.served.slice(0, our.served.length);
        expect(our.served).toEqual(alike.map((one) => ({ ...one, headers: { ...one.headers } })));
        if (their.closed && our.served.length === their.served.length) {
          expect(our.closed).toBe(true);
        }
        // Fewer were served: only because of a refusal, never by waiting for more.
        if (our.served.length < their.served.length) expect(our.closed).toBe(true);
      }),
      { numRuns: RUNS },
    );
  });

  const sound = fc.record({
    method: fc.constantFrom("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"),
    url: fc.constantFrom("/", "/v1/chat/completions?x=%20", "http://weir:80/a", "/%F0[]{}|"),
    fields: fc.array(
      fc.tuple(
        fc.stringMatching(/^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,20}$/).map((text) => `x${text}`),
        octets(40).map((text) => text.replace(/[^\t -~\x80-\xff]/g, ".")),
      ),
      { maxLength: 8 },
    ),
    body: fc.option(octets(200), { nil: undefined }),
    pieces: fc.option(fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 5 }), {
      nil: undefined,
    }),
  });

  it("takes whatever is sound", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(sound, { minLength: 1, maxLength: 3 }), async (requests) => {
        const text = requests.map(writeSound).join("");
        const bytes = [Buffer.from(text, "latin1")];
        const their = await send(theirs, bytes, requests.length);
        const our = await send(ours, bytes, requests.length);
        expect(our.served).toHaveLength(requests.length);
        expect(our.served).toEqual(their.served.map((one) => ({ ...one })));
        expect(our.closed).toBe(false);
      }),
      { numRuns: RUNS },
    );
  });

  it("understands the same wherever the bytes are cut", async () => {
    const text =
      "POST /a HTTP/1.1\r\nHost: weir\r\nContent-Length: 5\r\n\r\nhello\r\n" +
      "POST /b HTTP/1.1\r\nHost: weir\r\nTransfer-Encoding: chunked\r\n\r\n" +
      "a\r\n0123456789\r\n1\r\nx\r\n0\r\nx-late: 1\r\n\r\nGET /c HTTP/1.1\r\nHost: weir\r\n\r\n";
    const bytes = Buffer.from(text);
    const { served } = await send(theirs, [bytes], 3);
    expect(served).toHaveLength(3);
    for (let cut = 0; cut <= bytes.length; cut += 1) {
      const verdict = await send(ours, [bytes.subarray(0, cut), bytes.subarray(cut)], 3);
      expect([cut, verdict]).toEqual([cut, { served, closed: false }]);
    }
  });
});

interface Sound {
  readonly method: string;
  readonly url: string;
  readonly fields: ReadonlyArray<readonly [string, string]>;
  readonly body: string | undefined;
  readonly pieces: readonly number[] | undefined;
}

function writeSound({ method: verb, url, fields, body, pieces }: Sound): string {
  const lines = [`${verb} ${url} HTTP/1.1`, "Host: weir"];
  for (const [field, said] of fields) lines.push(`${field}: ${said}`);
  if (body === undefined) return `${lines.join("\r\n")}\r\n\r\n`;
  if (pieces === undefined)
    return `${lines.join("\r\n")}\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
  let chunks = "";
  let at = 0;
  for (const length of pieces) {
    const piece = body.slice(at, at + length);
    at += length;
    if (piece !== "") chunks += `${piece.length.toString(16)}\r\n${piece}\r\n`;
  }
  return `${lines.join("\r\n")}\r\nTransfer-Encoding: chunked\r\n\r\n${chunks}0\r\n\r\n`;
}
