import { connect } from "node:net";
import { gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import type { ChatHandler } from "../../src/mesh/rooms.ts";
import { type Door, openDoor } from "./open-door.ts";
import { decision, echo, KEY, outcome, textEvent } from "./pretend-house.ts";

const headers = { authorization: `Bearer ${KEY}` };
const question = { model: "sim/echo", messages: [{ role: "user", content: "Hello" }] };

function chat(door: Door, body: unknown, more: Record<string, string> = {}): Promise<Response> {
  return door.post("/v1/chat/completions", body, { ...headers, ...more });
}

async function messageOf(response: Response): Promise<string> {
  return JSON.parse(await response.text()).error.message;
}

function headOf(path: string, ...lines: string[]): string {
  const all = [`POST ${path} HTTP/1.1`, "Host: weir", `Authorization: Bearer ${KEY}`, ...lines];
  return `${all.join("\r\n")}\r\n\r\n`;
}

describe("a body that is no request", () => {
  const bodies: Array<[string, string, RegExp]> = [
    ["nothing", "", /empty/],
    ["half an object", '{"model": "a", ', /line 1, column 16 \(position 15\)/],
    ["a stray comma", '{\n "model": "a",\n}', /line 3, column 1/],
    ["words", "hello", /position 0/],
    ["an array", "[1]", /not an array/],
    ["null", "null", /not null/],
    ["a string", '"x"', /not a string/],
    ["100,000 levels of arrays", `${"[".repeat(1e5)}${"]".repeat(1e5)}`, /not an array/],
    ["100,000 levels in a field", `{"a":${"[".repeat(1e5)}${"]".repeat(1e5)}}`, /512 levels/],
    ["100,000 levels of objects", `${'{"a":'.repeat(1e5)}1${"}".repeat(1e5)}`, /512 levels/],
    ["100,000 open brackets", `{"a":${"[".repeat(1e5)}`, /position 100005/],
    [
      "a field of the wrong type",
      '{"model": 1, "messages": [{"role": "user", "content": "x"}]}',
      /model must be/,
    ],
  ];
  for (const [name, body, expected] of bodies) {
    it(`is refused: ${name}`, async () => {
      const door = await openDoor();
      const response = await chat(door, body);
      expect(response.status).toBe(400);
      expect(await messageOf(response)).toMatch(expected);
    });
  }

  it("is refused without a word of what it said", async () => {
    const door = await openDoor();
    expect(await messageOf(await chat(door, '{"a": "a secret" b}'))).not.toContain("secret");
  });

  it("is taken under a wrong content type, unless it is a form of several parts", async () => {
    const door = await openDoor();
    const types = { "application/x-www-form-urlencoded": 200, "multipart/form-data": 415 };
    for (const [type, status] of Object.entries(types)) {
      expect((await chat(door, question, { "content-type": type })).status).toBe(status);
    }
  });
});

it("a body that is no UTF-8 is as long as the text that it becomes", async () => {
  let asked: { bytes: number; text: string } | undefined;
  const handler: ChatHandler = (call, ask, sink) => {
    const part = ask.chat().messages[0]?.parts[0]?.part;
    asked = { bytes: ask.bytes, text: part?.case === "text" ? part.value.text : "" };
    return echo(call, ask, sink);
  };
  const door = await openDoor({ house: { chat: handler } });
  const begin = '{"model": "sim/echo", "messages": [{"role": "user", "content": "';
  const end = '"}]}';
  const body = Buffer.concat([Buffer.from(begin), Buffer.alloc(1_000, 0xff), Buffer.from(end)]);
  const url = `${door.url}/v1/chat/completions`;
  expect((await fetch(url, { method: "POST", headers, body })).status).toBe(200);
  expect(asked?.text).toBe("\ufffd".repeat(1_000));
  expect(asked?.bytes).toBeGreaterThanOrEqual(3_000);
});

describe("a body that is too large", () => {
  const rest = { bodyBytesMax: 1_048_576 };
  const large = JSON.stringify({ ...question, pad: "x".repeat(1_048_576) });

  it("is refused by its declared length before it is read", async () => {
    const door = await openDoor({ rest });
    const answer = await door.raw(
      headOf("/v1/chat/completions", "Content-Length: 99999999999"),
      "x".repeat(100),
    );
    expect(answer).toMatch(/^HTTP\/1.1 413 /);
    expect(answer).toContain("1 MB (1048576 bytes)");
    expect(answer.toLowerCase()).toContain("connection: close");
  });

  it("is refused while it is read", async () => {
    const door = await openDoor({ rest });
    const size = large.length.toString(16);
    const framing = ["Transfer-Encoding: chunked", "Connection: close"];
    const lines = headOf("/v1/chat/completions", ...framing);
    const answer = await door.raw(lines, `${size}\r\n${large}\r\n0\r\n\r\n`);
    expect(answer).toMatch(/^HTTP\/1.1 413 /);
  });

  it("is refused on HTTP/2, and the connection serves on", async () => {
    const door = await openDoor({ rest });
    const session = door.http2();
    const send = (body: string) =>
      new Promise<number>((resolve, reject) => {
        const path = "/v1/chat/completions";
        const stream = session.request({ ":method": "POST", ":path": path, ...headers });
        stream.on("response", (head) => resolve(Number(head[":status"])));
        stream.on("error", reject);
        stream.resume();
        stream.end(body);
      });
    expect(await send(large.repeat(4))).toBe(413);
    expect(await send(JSON.stringify(question))).toBe(200);
  });

  it("is refused by its length after decompression", async () => {
    const door = await openDoor({ rest });
    const bomb = gzipSync(Buffer.alloc(64 * 1_048_576, 0x20));
    expect(bomb.length).toBeLessThan(rest.bodyBytesMax);
    const response = await fetch(`${door.url}/v1/chat/completions`, {
      method: "POST",
      headers: { ...headers, "content-encoding": "gzip" },
      body: bomb,
    });
    expect(response.status).toBe(413);
  });

  it("is refused while others fill the memory, and taken once they are gone", async () => {
    const begun = Promise.withResolvers<void>();
    const go = Promise.withResolvers<void>();
    const handler: ChatHandler = async (...args) => {
      begun.resolve();
      await go.promise;
      return await echo(...args);
    };
    const door = await openDoor({ house: { chat: handler }, rest: { openBytesMax: 100_000 } });
    const body = { ...question, pad: "x".repeat(80_000) };
    const first = chat(door, body);
    await begun.promise;
    const second = await chat(door, body);
    expect(second.status).toBe(503);
    expect(second.headers.get("retry-after")).toBe("1");
    go.resolve();
    expect((await (await first).json()) !== undefined).toBe(true);
    expect((await chat(door, body)).status).toBe(200);
  });

  it("is taken just below the cap", async () => {
    const door = await openDoor({ rest });
    const room = rest.bodyBytesMax - JSON.stringify({ ...question, pad: "" }).length;
    expect((await chat(door, { ...question, pad: "x".repeat(room) })).status).toBe(200);
    expect((await chat(door, { ...question, pad: "x".repeat(room + 1) })).status).toBe(413);
  });
});

describe("a content encoding", () => {
  const encodings: Array<[string, number]> = [
    ["gzip", 200],
    ["GZIP", 200],
    ["br", 415],
    ["deflate", 415],
    ["zstd", 415],
    ["gzip, gzip", 415],
    ["nonsense", 415],
  ];
  for (const [encoding, status] of encodings) {
    it(`${encoding} is answered with ${status}`, async () => {
      const door = await openDoor();
      const response = await fetch(`${door.url}/v1/chat/completions`, {
        method: "POST",
        headers: { ...headers, "content-encoding": encoding },
        body: gzipSync(JSON.stringify(question)),
      });
      expect(response.status).toBe(status);
      if (status === 415) expect(await messageOf(response)).toContain("gzip");
    });
  }

  it("gzip around what is no gzip is malformed", async () => {
    const door = await openDoor();
    expect((await chat(door, question, { "content-encoding": "gzip" })).status).toBe(400);
  });
});

describe("a timeout header", () => {
  for (const text of ["0", "-1", "1.5", "abc", "99999999999"]) {
    it(`that is none is refused: ${text}`, async () => {
      const door = await openDoor();
      const response = await chat(door, question, { "x-weir-timeout-ms": text });
      expect(response.status).toBe(400);
    });
  }
});

describe("a client that is gone", () => {
  it("in mid-stream cancels the call and hurts nobody else", async () => {
    const cancelled = Promise.withResolvers<Error>();
    const endless: ChatHandler = async (call, _ask, sink) => {
      call.cancellation.onCancel(cancelled.resolve);
      sink.start(decision);
      const events = [textEvent("x".repeat(60_000))];
      for (;;) {
        const chunk = { wire: undefined, content: true, answer: undefined, events: () => events };
        if (!sink.chunk(chunk)) await sink.ready();
      }
    };
    const house = {
      chat: (...args: Parameters<ChatHandler>) =>
        args[1].stream ? endless(...args) : echo(...args),
    };
    const door = await openDoor({ house });
    const body = JSON.stringify({ ...question, stream: true });
    const socket = connect(door.port.port, "127.0.0.1");
    socket.on("error", () => {});
    socket.write(headOf("/v1/chat/completions", `Content-Length: ${body.length}`) + body);
    socket.once("data", () => socket.destroy());
    expect(await cancelled.promise).toMatchObject({ reason: "CALLER_GONE" });
    expect((await chat(door, question)).status).toBe(200);
    expect(door.port.openStreams()).toBe(0);
  });

  it("that reads slowly holds the handler back and gets everything", async () => {
    let waited = 0;
    const handler: ChatHandler = async (_call, _ask, sink) => {
      sink.start(decision);
      const events = [textEvent("x".repeat(100_000))];
      const chunk = { wire: undefined, content: true, answer: undefined, events: () => events };
      for (let i = 0; i < 100; i += 1) {
        if (sink.chunk(chunk)) continue;
        waited += 1;
        await sink.ready();
      }
      return outcome;
    };
    const door = await openDoor({ house: { chat: handler } });
    const text = await (await chat(door, { ...question, stream: true })).text();
    expect(text.length).toBeGreaterThan(1e7);
    expect(text.endsWith("data: [DONE]\n\n")).toBe(true);
    expect(waited).toBeGreaterThan(0);
  });

  it("before its body is complete reaches no handler", async () => {
    let asked = 0;
    const handler: ChatHandler = (...args) => {
      asked += 1;
      return echo(...args);
    };
    const refused = Promise.withResolvers<string>();
    const door = await openDoor({ house: { chat: handler, refused: refused.resolve } });
    const socket = connect(door.port.port, "127.0.0.1");
    socket.on("error", () => {});
    socket.write(`${headOf("/v1/chat/completions", "Content-Length: 100")}{"mod`, () =>
      socket.destroy(),
    );
    expect(await refused.promise).toBe("CALLER_GONE");
    expect(asked).toBe(0);
  });
});

describe("a fault of a dialect", () => {
  it("is answered as ours, told to whoever runs Weir, and shows nothing", async () => {
    const told: string[] = [];
    const failed = (error: { details: { internal?: string } }) =>
      told.push(error.details.internal ?? "");
    const countTokens = () => Promise.reject(new TypeError("a secret of the inside"));
    const door = await openDoor({ house: { countTokens }, rest: { failed } });
    const response = await door.post("/v1/messages/count_tokens", question, headers);
    expect(response.status).toBe(500);
    expect(await response.text()).not.toContain("secret");
    expect(told[0]).toContain("a secret of the inside");
  });
});
