import { once } from "node:events";
import { connect as connectHttp2 } from "node:http2";
import { connect, type Socket } from "node:net";
import { gzipSync } from "node:zlib";
import { Agent, request } from "undici";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { until } from "../support/own-process.ts";
import { chat, chatBody, post, streamText } from "../support/rest-calls.ts";
import { endAll, KEY, startWeir, type WeirProcess } from "../support/weir-process.ts";

const WAIT_MS = 60_000;
const MIB = 1024 * 1024;
const MEMORY_MIB_MAX = 900;

let weir: WeirProcess;
/** A client that behaves: its stream runs through all that the others do, its connection serves all the time. */
let bystander: Promise<string>;
let dispatcher: Agent;

beforeAll(async () => {
  weir = await startWeir();
  dispatcher = new Agent({ connections: 1 });
  const sim = { tps: 10, tokens: 35 };
  bystander = chat(weir, { model: "sim/text", stream: true, sim }).then(({ text }) => text);
  bystander.catch(() => {});
});
afterAll(async () => {
  await dispatcher?.close();
  await endAll();
});

async function expectUnhurt(): Promise<void> {
  const { status, json } = await chat(weir, {}, { dispatcher });
  expect([status, json.choices[0].message.content]).toEqual([200, "one two"]);
}

/** Sends bytes as they are; resolves with all that comes back once the connection is closed. */
function sendRaw(...pieces: readonly (string | Buffer)[]): Promise<string> {
  return new Promise((resolve) => {
    let said = "";
    const socket = connect(weir.port, "127.0.0.1", () => {
      for (const piece of pieces) socket.write(piece);
      socket.end();
    });
    socket.setTimeout(WAIT_MS, () => socket.destroy());
    socket.on("data", (piece) => {
      said += piece.toString("latin1");
    });
    socket.on("error", () => {});
    socket.on("close", () => resolve(said));
  });
}

const head = `POST /v1/chat/completions HTTP/1.1\r\nHost: weir\r\nAuthorization: Bearer ${KEY}\r\n`;
const deep = "[".repeat(1e5) + "]".repeat(1e5);
const question = JSON.stringify(chatBody());

describe("a key", () => {
  it("that is missing, unknown or no key is refused at every door", async () => {
    for (const key of ["", `wk_${"x".repeat(40)}`, "sk-of-another-vendor", "\u00e9".repeat(20)]) {
      for (const path of ["/v1/chat/completions", "/v1/messages", "/v1/embeddings"]) {
        const { status, json } = await post(weir, path, chatBody(), { key, dispatcher });
        expect([path, key, status]).toEqual([path, key, 401]);
        expect(json.error.message).not.toContain(KEY);
      }
      const rpc = await post(weir, "/weir.v1.ChatService/CreateChat", {}, { key, dispatcher });
      expect([rpc.status, rpc.json.code]).toEqual([401, "unauthenticated"]);
    }
    await expectUnhurt();
  });
});

describe("a body", () => {
  const bodies: ReadonlyArray<readonly [string, string]> = [
    ["that is nothing", ""],
    ["that is half an object", '{"model":"sim/echo",'],
    ["of 100,000 levels", `{"model":"sim/echo","messages":${deep}}`],
    ["of 100,000 levels that end nowhere", `{"a":${"[".repeat(1e5)}`],
    ["of 100,000 objects in each other", `${'{"a":'.repeat(1e5)}1${"}".repeat(1e5)}`],
    ["whose model is a number", '{"model":1,"messages":[{"role":"user","content":"x"}]}'],
    ["whose messages are a word", '{"model":"sim/echo","messages":"x"}'],
    ["whose role is none", '{"model":"sim/echo","messages":[{"role":"king","content":"x"}]}'],
    ["that is broken UTF-8", `{"model":"sim/echo","messages":"\ud800"`],
    ["that would change every object", '{"__proto__":{"model":"sim/echo"},"messages":[]}'],
  ];
  const paths = [
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/messages",
    "/v1/messages/count_tokens",
    "/v1/embeddings",
    "/weir.v1.ChatService/CreateChat",
  ];
  it.each(bodies)("%s is refused with 400 at every door", async (_, body) => {
    for (const path of paths) {
      const answer = await post(weir, path, body, { dispatcher });
      expect([path, answer.status]).toEqual([path, 400]);
      expect(answer.json.error?.message ?? answer.json.message).toMatch(/\w/);
    }
    await expectUnhurt();
  });

  it("beyond 32 MB is refused, saying so, however it comes", async () => {
    const large = `{"model":"sim/echo","pad":"${"x".repeat(33 * MIB)}"}`;
    const told = /^HTTP\/1.1 413 [\s\S]*32/;
    expect(await sendRaw(`${head}Content-Length: ${large.length}\r\n\r\n{`)).toMatch(told);
    const chunk = `${large.length.toString(16)}\r\n${large}\r\n0\r\n\r\n`;
    expect(await sendRaw(`${head}Transfer-Encoding: chunked\r\n\r\n${chunk}`)).toMatch(told);
    const bomb = gzipSync(large);
    expect(bomb.length).toBeLessThan(MIB);
    const { statusCode, body } = await request(`${weir.url}/v1/chat/completions`, {
      method: "POST",
      headers: {
        authorization: `Bearer ${KEY}`,
        "content-type": "application/json",
        "content-encoding": "gzip",
      },
      body: bomb,
      dispatcher,
    });
    await body.dump();
    expect(statusCode).toBe(413);
    await expectUnhurt();
  });

  it("in an unknown encoding is refused with 415", async () => {
    for (const encoding of ["br", "deflate", "zstd", "gzip, gzip", "nonsense"]) {
      const headers = { "content-encoding": encoding };
      const answer = await post(weir, "/v1/chat/completions", question, { headers, dispatcher });
      expect([encoding, answer.status]).toEqual([encoding, 415]);
    }
    await expectUnhurt();
  });

  it("of gRPC that is no message is refused", async () => {
    const session = connectHttp2(weir.url);
    const bytes: readonly Buffer[] = [
      Buffer.from([0, 0, 0, 0, 4, 0xff, 0xff, 0xff, 0xff]),
      Buffer.from([1, 0, 0, 0, 2, 1, 2]),
      Buffer.from([0, 0xff, 0xff, 0xff, 0xff, 1]),
      Buffer.from([0, 0, 0, 0, 9, 1]),
      Buffer.alloc(0),
    ];
    for (const path of ["CreateChat", "StreamChat"]) {
      for (const body of bytes) {
        const status = await new Promise<string>((resolve) => {
          const stream = session.request({
            ":method": "POST",
            ":path": `/weir.v1.ChatService/${path}`,
            "content-type": "application/grpc",
            authorization: `Bearer ${KEY}`,
            te: "trailers",
          });
          stream.on("response", (fields) => {
            if (fields["grpc-status"] !== undefined) resolve(String(fields["grpc-status"]));
          });
          stream.on("trailers", (trailers) => resolve(String(trailers["grpc-status"])));
          stream.on("error", () => resolve("reset"));
          stream.on("close", () => resolve("closed"));
          stream.resume();
          stream.end(body);
        });
        expect(["3", "8", "12", "13"]).toContain(status);
      }
    }
    session.close();
    await expectUnhurt();
  });
});

describe("a connection", () => {
  const probe = "GET /healthz HTTP/1.1\r\nHost: weir\r\n";
  const requests: ReadonlyArray<readonly [string, string, RegExp]> = [
    ["with two Host headers", `${probe}Host: other\r\n\r\n`, /^HTTP\/1.1 400 /],
    ["with a header of 100 kB", `${probe}x: ${"a".repeat(1e5)}\r\n\r\n`, /^HTTP\/1.1 431 /],
    [
      "with a length and chunks",
      `${head}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
      /^HTTP\/1.1 400 /,
    ],
    ["with a negative length", `${head}Content-Length: -1\r\n\r\n`, /^HTTP\/1.1 400 /],
    ["that is no HTTP", "\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", /^(?:HTTP\/1.1 400 |$)/],
  ];
  it.each(requests)("%s is refused", async (_, text, expected) => {
    expect(await sendRaw(text)).toMatch(expected);
    await expectUnhurt();
  });

  it("that sends one byte a second keeps nobody waiting", async () => {
    const slow: Socket[] = [];
    for (let at = 0; at < 200; at++) {
      const socket = connect(weir.port, "127.0.0.1");
      socket.on("error", () => {});
      socket.write(
        at % 3 === 0 ? "P" : at % 3 === 1 ? probe : `${head}Content-Length: 99\r\n\r\n{`,
      );
      slow.push(socket);
    }
    const drip = setInterval(() => {
      for (const socket of slow) socket.write("x");
    }, 1_000);
    for (let at = 0; at < 20; at++) await expectUnhurt();
    // Whoever had waited for them would have waited until none is left.
    expect(slow.some((socket) => !socket.closed)).toBe(true);
    clearInterval(drip);
    for (const socket of slow) socket.destroy();
  });

  it("that opens and resets thousands of streams hurts only itself", async () => {
    const session = connectHttp2(weir.url);
    session.on("error", () => {});
    session.on("goaway", () => session.destroy());
    for (let at = 0; at < 3_000 && !session.destroyed; at++) {
      const stream = session.request({
        ":method": "POST",
        ":path": "/weir.v1.ChatService/StreamChat",
        "content-type": "application/grpc",
        authorization: `Bearer ${KEY}`,
      });
      stream.on("error", () => {});
      stream.close(8);
      if (at % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    await expectUnhurt();
    await until("it is thrown out", WAIT_MS, () => session.destroyed || session.closed);
    await expectUnhurt();
  });

  it("that is dropped with requests under way leaves nothing behind", async () => {
    // A token at once, and the next in a quarter of an hour.
    const sim = { tps: 0.001, tokens: 9 };
    const body = JSON.stringify(chatBody({ model: "sim/text", stream: true, sim }));
    const sockets = Array.from({ length: 50 }, () => {
      const socket = connect(weir.port, "127.0.0.1");
      socket.on("error", () => {});
      const more = `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n`;
      socket.write(head + more + body);
      return socket;
    });
    await Promise.all(sockets.map((socket) => once(socket, "data")));
    for (const socket of sockets) socket.resetAndDestroy();
    await until("all of them are in the ledger", WAIT_MS, async () => {
      const { rows } = await weir.usage.queryUsage({
        filter: { models: ["sim/text"], onlyErrors: true },
      });
      return (rows[0]?.totals?.requests ?? 0n) >= 50n;
    });
    await expectUnhurt();
  });
});

describe("after all that", () => {
  it("the client that behaves has its whole stream, and Weir is as it was", async () => {
    const text = await bystander;
    expect(text.endsWith("data: [DONE]\n\n")).toBe(true);
    expect(streamText(text).length).toBeGreaterThan(100);
    const { statusCode, body } = await request(`${weir.url}/readyz`);
    await body.dump();
    expect(statusCode).toBe(200);
    expect(weir.output).not.toContain("process ended");
    expect(weir.output).not.toContain('"msg":"fault"');
    expect(weir.memory(weir.proxy(0))).toBeLessThan(MEMORY_MIB_MAX);
    expect(await weir.stop()).toBe(0);
  });
});
