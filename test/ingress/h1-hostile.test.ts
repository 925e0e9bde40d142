import { connect, type Socket } from "node:net";
import { describe, expect, it } from "vitest";
import { createEventChunk } from "../../src/mesh/chunk.ts";
import type { ChatHandler } from "../../src/mesh/rooms.ts";
import { type Door, openDoor } from "./open-door.ts";
import { decision, echo, KEY, outcome, textEvent } from "./pretend-house.ts";

const question = JSON.stringify({
  model: "sim/echo",
  messages: [{ role: "user", content: "Hello" }],
});
const head = `POST /v1/chat/completions HTTP/1.1\r\nHost: weir\r\nx-api-key: ${KEY}\r\n`;
const ask = `${head}Content-Length: ${question.length}\r\n\r\n${question}`;
const probe = "GET /healthz HTTP/1.1\r\nHost: weir\r\n";
const last = `${probe}Connection: close\r\n\r\n`;

/** A client that says what it has heard so far, and waits for more. */
class Raw {
  said = "";
  readonly socket: Socket;
  readonly closed: Promise<void>;

  constructor(door: Door) {
    this.socket = connect({ port: door.port.port, host: "127.0.0.1", noDelay: true });
    this.socket.on("error", () => {});
    this.socket.on("data", (bytes) => {
      this.said += bytes.toString("latin1");
    });
    this.closed = new Promise((resolve) => this.socket.on("close", () => resolve()));
  }

  async hears(text: string): Promise<void> {
    await expect.poll(() => this.said).toContain(text);
  }
}

const neverAsked = () => {
  throw new Error("nobody shall decode it");
};
const count = (text: string, part: string) => text.split(part).length - 1;

describe("an HTTP/1.1 answer", () => {
  it("says what clients rely on", async () => {
    const door = await openDoor();
    const client = new Raw(door);
    client.socket.write(`${probe}\r\n`);
    await client.hears("}");
    const [top = "", body = ""] = client.said.split("\r\n\r\n");
    expect(top.startsWith("HTTP/1.1 200 OK\r\n")).toBe(true);
    for (const field of [
      /\r\ndate: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT/,
      /\r\nconnection: keep-alive/,
      /\r\nkeep-alive: timeout=75/,
      new RegExp(`\r\ncontent-length: ${body.length}\\b`),
    ]) {
      expect(top).toMatch(field);
    }
    client.socket.destroy();
  });

  it("to HEAD is a head alone, and the connection goes on", async () => {
    const door = await openDoor();
    const answer = await door.raw(`${probe.replace("GET", "HEAD")}\r\n${last}`);
    expect(count(answer, "HTTP/1.1 200 OK")).toBe(2);
    expect(count(answer, '{"status":"ok"}')).toBe(1);
    expect(count(answer, "content-length: 15")).toBe(2);
  });

  it("to HTTP/1.0 ends its connection, unless the client asks to keep it", async () => {
    const door = await openDoor();
    const once = await door.raw("GET /healthz HTTP/1.0\r\n\r\n");
    expect(once).toContain("connection: close");
    const kept = "GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
    const twice = await door.raw(`${kept}GET /healthz HTTP/1.0\r\n\r\n`);
    expect(count(twice, "HTTP/1.1 200 OK")).toBe(2);
    expect(count(twice, "connection: keep-alive")).toBe(1);
  });

  it("that is a stream comes in chunks, each in one piece, and its connection goes on", async () => {
    const chat: ChatHandler = async (_call, _ask, sink) => {
      sink.start(decision);
      sink.chunk(createEventChunk([textEvent("\u00e9\u{1f642}")], true));
      await Promise.resolve();
      return outcome;
    };
    const door = await openDoor({ house: { chat } });
    const body = question.replace("{", '{"stream":true,');
    const text = `${head}Content-Length: ${body.length}\r\n\r\n${body}`;
    const answer = Buffer.from(await door.raw(text + last));
    expect(answer.toString()).toContain("transfer-encoding: chunked");
    let at = answer.indexOf("\r\n\r\n") + 4;
    let events = "";
    for (;;) {
      const end = answer.indexOf("\r\n", at);
      const size = Number.parseInt(answer.toString("latin1", at, end), 16);
      events += answer.toString("utf8", end + 2, end + 2 + size);
      at = end + 2 + size + 2;
      if (size === 0) break;
    }
    expect(events).toContain("\u00e9\u{1f642}");
    expect(events.endsWith("data: [DONE]\n\n")).toBe(true);
    expect(answer.toString("latin1", at)).toMatch(/^HTTP\/1.1 200 OK\r\n/);
  });
});

describe("a client of HTTP/1.1", () => {
  it("is told to go on with its body when it waits for that", async () => {
    const door = await openDoor();
    const client = new Raw(door);
    const [top = ""] = ask.split("\r\n\r\n");
    client.socket.write(`${top}\r\nExpect: 100-continue\r\n\r\n`);
    await client.hears("HTTP/1.1 100 Continue\r\n\r\n");
    client.socket.write(question);
    await client.hears("Hello, weir");
    client.socket.destroy();
  });

  it("is refused before its body when it waits, and what follows is no request", async () => {
    const door = await openDoor();
    const [top = ""] = ask.replace(KEY, "wk_none").split("\r\n\r\n");
    const answer = await door.raw(`${top}\r\nExpect: 100-continue\r\n\r\n`);
    expect(answer).toMatch(/^HTTP\/1.1 401 /);
    expect(answer).toContain("connection: close");
    expect(answer).not.toContain("100 Continue");
  });

  const refused: Array<[string, string, number]> = [
    ["to open a tunnel", "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", 405],
    ["a miracle", `${probe}Expect: a miracle\r\n\r\n`, 417],
    ["an unknown method", probe.replace("GET", "BREW").concat("\r\n"), 400],
    ["in version 2.0", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", 400],
    ["with bare line feeds", "GET /healthz HTTP/1.1\nHost: a\n\n", 400],
    ["with a NUL", `${probe}x: a\0b\r\n\r\n`, 400],
    ["with a space before a colon", `${probe}x : a\r\n\r\n`, 400],
    ["with two codings", `${head}Transfer-Encoding: gzip, chunked\r\n\r\n`, 400],
    ["with a chunk of no size", `${head}Transfer-Encoding: chunked\r\n\r\nx\r\n`, 400],
    ["with a chunk that is longer", `${head}Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n`, 400],
    ["with a chunk extension", `${head}Transfer-Encoding: chunked\r\n\r\n1;a\r\nb\r\n`, 413],
    ["with 300 fields", `${probe}${"a: b\r\n".repeat(300)}\r\n`, 431],
    [
      "with large trailers",
      `${head}Transfer-Encoding: chunked\r\n\r\n0\r\na: ${"b".repeat(40_000)}`,
      431,
    ],
  ];
  for (const [name, text, status] of refused) {
    it(`that asks ${name} is refused with ${status}, once, and nothing behind it is read`, async () => {
      const door = await openDoor();
      const answer = await door.raw(`${text}${last}`);
      expect(answer.split(" ")[1]).toBe(String(status));
      expect(answer.match(/HTTP\/1\.1 \d/g)).toHaveLength(1);
      expect(answer).toContain("connection: close");
      expect(JSON.parse(answer.split("\r\n\r\n")[1] ?? "").error.code).toBe("INVALID_REQUEST");
      expect(door.port.openStreams()).toBe(0);
      expect((await fetch(`${door.url}/healthz`)).status).toBe(200);
    });
  }

  it("that garbles its body reaches no handler, and its call is over", async () => {
    let asked = 0;
    const refusals: string[] = [];
    const chat: ChatHandler = (...args) => {
      asked += 1;
      return echo(...args);
    };
    const door = await openDoor({ house: { chat, refused: (reason) => refusals.push(reason) } });
    await door.raw(`${head}Transfer-Encoding: chunked\r\n\r\n1\r\n{\n`);
    await expect.poll(() => refusals).toEqual(["CALLER_GONE"]);
    expect(asked).toBe(0);
  });

  it("that is refused early has its small body thrown away, and asks again", async () => {
    const door = await openDoor();
    const answer = await door.raw(ask.replace(KEY, "wk_none") + ask + last);
    expect(answer.match(/HTTP\/1.1 \d+/g)).toEqual([
      ...["HTTP/1.1 401", "HTTP/1.1 200", "HTTP/1.1 200"],
    ]);
  });

  it("that sends a large body where nobody wants it still hears why", async () => {
    const door = await openDoor();
    const client = new Raw(door);
    const large = 50_000_000;
    client.socket.write(`${head.replace(KEY, "wk_none")}Content-Length: ${large}\r\n\r\n`);
    const piece = Buffer.alloc(1_000_000);
    let left = large;
    const pump = () => {
      while (left > 0 && client.socket.write(piece)) left -= piece.length;
    };
    client.socket.on("drain", pump);
    pump();
    await client.closed;
    expect(client.said).toMatch(/^HTTP\/1.1 401 [\s\S]*connection: close[\s\S]*\}$/);
  });

  it("that asks a thousand things at once gets a thousand answers, in order", async () => {
    const door = await openDoor();
    const paths = Array.from({ length: 1_000 }, (_, at) => `/v1/models/none-${at}`);
    const text = paths.map((path) => `${probe.replace("/healthz", path)}\r\n`).join("");
    const answer = await door.raw(text + last);
    expect(count(answer, "HTTP/1.1 401")).toBe(1_000);
    expect(answer).toMatch(/\{"status":"ok"\}$/);
  });

  it("that asks without reading is not read on, and gets everything when it does", async () => {
    const wire = { dialect: "openai", bytes: Buffer.alloc(1_000_000, "x") } as const;
    let asked = 0;
    const chat: ChatHandler = async (_call, _ask, sink) => {
      asked += 1;
      sink.start(decision);
      sink.chunk({
        wire,
        content: true,
        answer: neverAsked,
        events: () => [],
      });
      return outcome;
    };
    const door = await openDoor({ house: { chat } });
    const client = new Raw(door);
    client.socket.pause();
    const total = 40;
    client.socket.write(ask.repeat(total) + last);
    await expect.poll(() => asked).toBeGreaterThan(0);
    // Time enough for all, if they were not held back.
    for (let turn = 0; turn < 20; turn += 1) await fetch(`${door.url}/healthz`);
    expect(asked).toBeLessThan(total);
    client.socket.resume();
    await client.closed;
    expect(asked).toBe(total);
    expect(client.said.length).toBeGreaterThan(total * 1_000_000);
  });

  it("that closes its half while it waits is taken for gone", async () => {
    const cancelled = Promise.withResolvers<Error>();
    const chat: ChatHandler = (call) =>
      new Promise((_resolve, reject) => {
        call.cancellation.onCancel((cause) => {
          cancelled.resolve(cause);
          reject(cause);
        });
      });
    const door = await openDoor({ house: { chat } });
    const client = new Raw(door);
    client.socket.end(ask);
    expect(await cancelled.promise).toMatchObject({ reason: "CALLER_GONE" });
    await client.closed;
    expect(door.port.openStreams()).toBe(0);
  });

  it("that is idle for too long is let go of, without a word", async () => {
    const door = await openDoor({ timeouts: { idleMs: 50 } });
    const answer = await door.raw(`${probe}\r\n`);
    expect(count(answer, "HTTP/1.1")).toBe(1);
  });
});

describe("drain()", () => {
  it("closes connections that wait for nothing at once", async () => {
    const door = await openDoor();
    const client = new Raw(door);
    client.socket.write(`${probe}\r\n`);
    await client.hears("}");
    await door.port.drain(60_000);
    await client.closed;
  });

  it("lets a request come to its end that has begun to arrive", async () => {
    const door = await openDoor();
    const client = new Raw(door);
    client.socket.write(ask.slice(0, -10));
    await expect.poll(() => door.port.openStreams()).toBe(1);
    const drained = door.port.drain(60_000);
    client.socket.write(ask.slice(-10));
    await drained;
    await client.closed;
    expect(client.said).toContain("connection: close");
    expect(client.said).toContain("Hello, weir");
  });
});
