import { connect } from "node:net";
import { describe, expect, it } from "vitest";
import type { ChatHandler } from "../../src/mesh/rooms.ts";
import { type Door, openDoor } from "./open-door.ts";
import { decision, echo, KEY, outcome, textEvent } from "./pretend-house.ts";

const messages = [{ role: "user", content: "Hello" }];
const question = { model: "sim/echo", messages, max_tokens: 9 };
const body = JSON.stringify(question);
const request = [
  "POST /v1/chat/completions HTTP/1.1",
  "Host: weir",
  `x-api-key: ${KEY}`,
  `Content-Length: ${body.length}`,
  "",
  body,
].join("\r\n");
const probe = "GET /healthz HTTP/1.1\r\nHost: weir\r\n";
const last = `${probe}Connection: close\r\n\r\n`;

async function statusOf(door: Door): Promise<number> {
  return (await fetch(`${door.url}/healthz`)).status;
}

/** Sends one byte after another, as slowly as a client can that wants to keep a connection. */
function drip(door: Door, text: string, everyMs: number, head = ""): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(door.port.port, "127.0.0.1");
    socket.write(head);
    let answer = "";
    let at = 0;
    const timer = setInterval(() => {
      if (at < text.length) socket.write(text.charAt(at));
      at += 1;
    }, everyMs);
    socket.on("data", (data) => {
      answer += data;
    });
    socket.on("error", () => {});
    socket.on("close", () => {
      clearInterval(timer);
      resolve(answer);
    });
  });
}

describe("HTTP/1.1 on the port", () => {
  it("answers pipelined requests in order", async () => {
    const door = await openDoor();
    const answer = await door.raw(request + request + last);
    expect(answer.match(/HTTP\/1\.1 200 OK/g)).toHaveLength(3);
    expect(answer.match(/Hello, weir/g)).toHaveLength(2);
  });

  it("answers a request that comes in pieces", async () => {
    const door = await openDoor();
    expect(await drip(door, last, 1)).toContain("200 OK");
  });

  const refused: Array<[string, string, number]> = [
    ["two Host headers", `${probe}hOsT: other\r\n\r\n`, 400],
    ["no Host header", "GET /healthz HTTP/1.1\r\n\r\n", 400],
    ["absurdly large headers", `${probe}x: ${"a".repeat(40_000)}\r\n\r\n`, 431],
    ["no HTTP", "\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400],
    ["two lengths", `${probe}Content-Length: 1\r\nContent-Length: 2\r\n\r\n`, 400],
    ["two framings", `${probe}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n`, 400],
    ["a header that has a line break", `${probe}x: a\n b: c\r\n\r\n`, 400],
  ];
  for (const [name, bytes, status] of refused) {
    it(`refuses ${name} with a reason in JSON, and serves on`, async () => {
      const door = await openDoor();
      const [top = "", json = ""] = (await door.raw(bytes)).split("\r\n\r\n");
      expect(Number(top.split(" ")[1])).toBe(status);
      expect(JSON.parse(json).error.type).toBe("invalid_request_error");
      expect(await statusOf(door)).toBe(200);
    });
  }

  it("answers who sends its headers byte by byte with 408", async () => {
    const door = await openDoor({ timeouts: { headersMs: 100 } });
    expect(await drip(door, probe.repeat(20), 10)).toMatch(/^HTTP\/1.1 408 /);
  });

  it("answers who sends its body byte by byte with 408", async () => {
    const door = await openDoor({ timeouts: { headersMs: 100, requestMs: 100 } });
    const head = request.slice(0, request.indexOf("{"));
    expect(await drip(door, " ".repeat(body.length), 10, head)).toMatch(/^HTTP\/1.1 408 /);
  });

  it("closes who says nothing, or too little to know what it speaks", async () => {
    const door = await openDoor({ timeouts: { firstByteMs: 50 } });
    expect(await Promise.all([door.raw(), door.raw("PR")])).toEqual(["", ""]);
  });
});

describe("HTTP/2 on the port", () => {
  const get = (door: Door, session = door.http2()) =>
    new Promise<number>((resolve, reject) => {
      const stream = session.request({ ":path": "/healthz" });
      stream.on("response", (head) => resolve(Number(head[":status"])));
      stream.on("error", reject);
      stream.on("close", () => reject(new Error("closed")));
      stream.resume();
    });

  it("serves REST without TLS", async () => {
    const door = await openDoor();
    expect(await get(door)).toBe(200);
  });

  it("survives a client that opens and resets 2,000 streams, and serves others", async () => {
    const door = await openDoor();
    const other = door.http2();
    expect(await get(door, other)).toBe(200);
    const session = door.http2();
    const closed = new Promise((resolve) => session.on("close", resolve));
    session.on("goaway", () => session.destroy());
    for (let i = 0; i < 2_000 && !session.destroyed; i += 1) {
      const stream = session.request({ ":path": "/v1/models", "x-api-key": KEY });
      stream.on("error", () => {});
      stream.close(8);
      if (i % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    await closed;
    expect(await get(door, other)).toBe(200);
    expect(await statusOf(door)).toBe(200);
  });

  it("closes who speaks HTTP/2 with three bytes and says no more", async () => {
    const door = await openDoor({ timeouts: { firstByteMs: 1_000 } });
    const session = door.http2();
    await get(door, session);
    await door.raw("PRI");
    expect(await get(door, session)).toBe(200);
  });

  const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
  const frame = (type: number, flags: number, stream: number, payload = Buffer.alloc(0)) => {
    const head = Buffer.alloc(9);
    head.writeUIntBE(payload.length, 0, 3);
    head[3] = type;
    head[4] = flags;
    head.writeUInt32BE(stream, 5);
    return Buffer.concat([head, payload]);
  };
  const settings = frame(4, 0, 0);
  const floods: Array<[string, Buffer[]]> = [
    ["a broken preface", [Buffer.from("PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n")]],
    ["a frame that is too long", [settings, frame(0, 0, 1, Buffer.alloc(20_000))]],
    ["data for no stream", [settings, frame(0, 0, 5, Buffer.from("x"))]],
    ["headers that are no HPACK", [settings, frame(1, 4, 1, Buffer.alloc(64, 0xff))]],
    [
      "endless CONTINUATION",
      [settings, frame(1, 0, 1), ...Array.from({ length: 500 }, () => frame(9, 0, 1))],
    ],
    [
      "a flood of PING",
      [settings, ...Array.from({ length: 200_000 }, () => frame(6, 0, 0, Buffer.alloc(8)))],
    ],
    ["a flood of SETTINGS", [settings, ...Array.from({ length: 200_000 }, () => settings)]],
  ];
  for (const [name, frames] of floods) {
    it(`survives ${name}`, async () => {
      const door = await openDoor({ timeouts: { sessionIdleMs: 1_000 } });
      const first = name === "a broken preface" ? [] : [preface];
      await door.raw(...first, Buffer.concat(frames));
      expect(await get(door)).toBe(200);
    });
  }
});

describe("drain()", () => {
  it("finishes what runs and takes nothing new", async () => {
    const go = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    let running = 0;
    const chat: ChatHandler = async (...args) => {
      running += 1;
      if (running === 2) begun.resolve();
      await go.promise;
      return await echo(...args);
    };
    const door = await openDoor({ house: { chat } });
    const headers = { "x-api-key": KEY };
    const first = door.post("/v1/chat/completions", body, headers);
    const session = door.http2();
    const goaway = new Promise((resolve) => session.once("goaway", resolve));
    const stream = session.request({ ":method": "POST", ":path": "/v1/messages", ...headers });
    stream.end(body);
    const second = new Promise((resolve) => stream.on("response", (h) => resolve(h[":status"])));
    await begun.promise;
    expect(door.port.openStreams()).toBe(2);
    const drained = door.port.drain(60_000);
    await goaway;
    await expect(fetch(`${door.url}/healthz`)).rejects.toThrow();
    go.resolve();
    const response = await first;
    expect(response.status).toBe(200);
    expect(response.headers.get("connection")).toBe("close");
    expect(await second).toBe(200);
    stream.resume();
    await drained;
    expect(door.port.openStreams()).toBe(0);
  });

  it("closes a connection whose stream had begun before", async () => {
    const go = Promise.withResolvers<void>();
    const chat: ChatHandler = async (_call, _ask, sink) => {
      sink.start(decision);
      const events = [textEvent("one")];
      sink.chunk({ wire: undefined, content: true, answer: undefined, events: () => events });
      await go.promise;
      return outcome;
    };
    const door = await openDoor({ house: { chat } });
    const stream = JSON.stringify({ ...question, stream: true });
    const answer = await door.post("/v1/chat/completions", stream, { "x-api-key": KEY });
    const drained = door.port.drain(60_000);
    go.resolve();
    expect(await answer.text()).toContain("[DONE]");
    await drained;
  });

  it("cuts off what is not finished in time", async () => {
    const begun = Promise.withResolvers<void>();
    const chat: ChatHandler = (call) => {
      begun.resolve();
      return new Promise((_resolve, reject) => call.cancellation.onCancel(reject));
    };
    const door = await openDoor({ house: { chat } });
    const answer = door.post("/v1/chat/completions", body, { "x-api-key": KEY });
    const failed = expect(answer).rejects.toThrow();
    await begun.promise;
    await door.port.drain(20);
    await failed;
  });
});

describe("openPort()", () => {
  it("says when the port is taken", async () => {
    const door = await openDoor();
    const { openPort } = await import("../../src/ingress/port.ts");
    const { systemClock: clock } = await import("../../src/mesh/clock.ts");
    const nothing = () => {};
    const options = { host: "127.0.0.1", port: door.port.port, reusePort: false, clock };
    await expect(openPort({ ...options, http1: nothing, http2: nothing })).rejects.toMatchObject({
      code: "EADDRINUSE",
    });
  });
});
