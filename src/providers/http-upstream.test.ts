import type net from "node:net";
import { gzipSync } from "node:zlib";
import { afterEach, describe, expect, it } from "vitest";
import { FinishReason } from "../../gen/weir/v1/chat_pb.ts";
import { VirtualClock } from "../mesh/virtual-clock.ts";
import { createHttpUpstream } from "./http-upstream.ts";
import {
  askOpenai,
  createAttempt,
  createTarget,
  DONE,
  dialects,
  type RawServer,
  STREAM_END,
  STREAM_HEAD,
  startChat,
  startRawServer,
  writeAnswer,
  writeChunk,
  writeDelta,
  writeFinish,
  writeResponse,
} from "./trial.fixture.ts";

const clock = new VirtualClock();
const upstream = createHttpUpstream({ clock, dialects });
const servers: RawServer[] = [];

afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
});

describe("createHttpUpstream(): answers", () => {
  it("reads a whole answer into one chunk", async () => {
    const server = await serve((socket) => socket.write(writeResponse(200, writeAnswer("héllo"))));
    const trial = startChat(upstream, createTarget(server.url), askOpenai());
    const end = await trial.done;
    expect(trial.text()).toBe("héllo");
    expect(trial.chunks).toHaveLength(1);
    expect(end).toMatchObject({
      finish: { reason: FinishReason.STOP },
      usage: { inputTokens: 3, outputTokens: 2 },
      upstreamId: "c",
      modelVersion: "m-1",
    });
    expect(trial.opened.map(({ status }) => status)).toEqual([200]);
    expect(trial.attempt.partial).toBeUndefined();
  });

  it("passes a stream of the same dialect on, byte for byte, however it is cut", async () => {
    const sent = writeDelta("Grüße ") + writeDelta("🌊 weir") + writeFinish();
    const bytes = Buffer.from(sent + DONE);
    for (const size of [1, 2, 7, 64, 10_000]) {
      const server = await serve((socket) => void drip(socket, bytes, size));
      const ask = askOpenai({ stream: true, stream_options: { include_usage: true } });
      const trial = startChat(upstream, createTarget(server.url), ask);
      const end = await trial.done;
      expect(trial.wire()).toBe(sent);
      expect(trial.text()).toBe("Grüße 🌊 weir");
      expect(end.usage).toMatchObject({ inputTokens: 3, outputTokens: 2 });
    }
  });

  it("makes one chunk of what one read brought, whatever HTTP pieces it came in", async () => {
    const pieces = Array.from({ length: 50 }, (_, i) => writeChunk(writeDelta(`${i} `)));
    const tail = [writeChunk(writeFinish()), writeChunk(DONE), Buffer.from(STREAM_END)];
    const server = await serve((socket) => {
      socket.write(Buffer.concat([Buffer.from(STREAM_HEAD), ...pieces, ...tail]));
    });
    const trial = startChat(upstream, createTarget(server.url), askOpenai({ stream: true }));
    await trial.done;
    expect(trial.chunks).toHaveLength(1);
    expect(trial.text()).toMatch(/^0 1 2 .* 49 $/);
  });

  it("takes trailers after the last piece", async () => {
    const server = await serve((socket) => {
      const body = Buffer.concat([writeChunk(writeDelta("x") + writeFinish() + DONE)]);
      socket.write(
        Buffer.concat([Buffer.from(STREAM_HEAD), body, Buffer.from("0\r\nx-time: 1\r\n\r\n")]),
      );
    });
    const trial = startChat(upstream, createTarget(server.url), askOpenai({ stream: true }));
    await expect(trial.done).resolves.toMatchObject({ finish: { reason: FinishReason.STOP } });
  });

  it("takes a whole answer where a stream was asked for", async () => {
    const server = await serve((socket) => socket.write(writeResponse(200, writeAnswer("whole"))));
    const trial = startChat(upstream, createTarget(server.url), askOpenai({ stream: true }));
    await trial.done;
    expect(trial.text()).toBe("whole");
    // The body is no SSE: passed on as it is, it would garble the caller's stream.
    expect(trial.chunks[0]?.wire).toBeUndefined();
  });

  it("takes a stream where a whole answer was asked for", async () => {
    const body = writeDelta("streamed") + writeFinish() + DONE;
    const headers = { "content-type": "text/event-stream" };
    const server = await serve((socket) => socket.write(writeResponse(200, body, headers)));
    const trial = startChat(upstream, createTarget(server.url), askOpenai());
    await trial.done;
    expect(trial.text()).toBe("streamed");
  });

  it("takes a stream that is called plain text or nothing", async () => {
    for (const headers of [{ "content-type": "text/plain" }, {}]) {
      const body = writeDelta("plain") + writeFinish() + DONE;
      const server = await serve((socket) => socket.write(writeResponse(200, body, headers)));
      const trial = startChat(upstream, createTarget(server.url), askOpenai({ stream: true }));
      await trial.done;
      expect(trial.text()).toBe("plain");
    }
  });

  it("takes a last frame without its blank line", async () => {
    const body = `${writeDelta("x")}${writeFinish()}data: [DONE]`;
    const headers = { "content-type": "text/event-stream" };
    const server = await serve((socket) => socket.write(writeResponse(200, body, headers)));
    const trial = startChat(upstream, createTarget(server.url), askOpenai({ stream: true }));
    await expect(trial.done).resolves.toMatchObject({ usage: { outputTokens: 2 } });
  });

  it("unpacks gzip that nobody asked for, plain and streamed", async () => {
    const plain = { "content-type": "application/json", "content-encoding": "gzip" };
    const whole = writeResponse(200, gzipSync(writeAnswer("packed")), plain);
    const stream = { ...plain, "content-type": "text/event-stream" };
    const frames = writeDelta("packed") + writeFinish() + DONE;
    const streamed = writeResponse(200, gzipSync(frames), stream);
    for (const [answer, asked] of [
      [whole, false],
      [streamed, true],
    ] as const) {
      const server = await serve((socket) => socket.write(answer));
      const trial = startChat(upstream, createTarget(server.url), askOpenai({ stream: asked }));
      await trial.done;
      expect(trial.text()).toBe("packed");
    }
  });

  it("asks for no compression", async () => {
    const server = await serve((socket) => socket.write(writeResponse(200, writeAnswer("x"))));
    await startChat(upstream, createTarget(server.url), askOpenai()).done;
    expect(server.requests[0]).toContain("accept-encoding: identity\r\n");
  });

  it("answers as soon as the last event is there, and closes a response that never ends", async () => {
    const server = await serve((socket) => {
      socket.write(STREAM_HEAD);
      socket.write(writeChunk(writeDelta("x") + writeFinish() + DONE));
    });
    const trial = startChat(upstream, createTarget(server.url), askOpenai({ stream: true }));
    await trial.done;
    expect(server.sockets[0]?.destroyed).toBe(false);
    const closed = new Promise((resolve) => server.sockets[0]?.once("close", resolve));
    await clock.advance(2000);
    await closed;
  });

  it("uses a connection again, after errors of the upstream too", async () => {
    let calls = 0;
    const server = await serve((socket) => {
      calls++;
      socket.write(calls === 2 ? writeResponse(400, "{}") : writeResponse(200, writeAnswer("x")));
    });
    const target = createTarget(server.url);
    await startChat(upstream, target, askOpenai()).done;
    await settle(5);
    await expect(startChat(upstream, target, askOpenai()).done).rejects.toThrow();
    await settle(5);
    await startChat(upstream, target, askOpenai()).done;
    expect(server.sockets).toHaveLength(1);
    expect(upstream.connections()).toContainEqual(
      expect.objectContaining({ connected: 1, running: 0, waiting: 0 }),
    );
  });
});

describe("createHttpUpstream(): lies and faults", () => {
  it("says UPSTREAM_FAILED when nobody listens, with nothing to bill and the reason inside", async () => {
    const server = await serve(() => {});
    await servers.pop()?.close();
    const trial = startChat(upstream, createTarget(server.url), askOpenai());
    const error = await trial.done.catch((thrown) => thrown);
    expect(error).toMatchObject({ reason: "UPSTREAM_FAILED" });
    expect(error.details.internal).toContain("ECONNREFUSED");
    expect(error.message).not.toContain("127.0.0.1");
    expect(trial.attempt.partial).toBeUndefined();
    expect(trial.opened).toEqual([]);
  });

  const SSE = { "content-type": "text/event-stream" };
  const ERROR = `data: ${JSON.stringify({ error: { message: "overloaded", type: "server_error" } })}\n\n`;
  const half = Buffer.from(writeDelta("lost")).subarray(0, 40);
  const lies: Array<[name: string, answer: string | Buffer, reason: string, text: string]> = [
    ["no HTTP", "SSH-2.0-OpenSSH_9.9\r\n\r\n", "UPSTREAM_GARBLED", ""],
    ["HTML", writeResponse(200, "<html>", { "content-type": "text/html" }), "UPSTREAM_GARBLED", ""],
    ["half a frame", writeResponse(200, half, SSE), "UPSTREAM_GARBLED", ""],
    [
      "half a frame after content",
      writeResponse(200, Buffer.concat([Buffer.from(writeDelta("got")), half]), SSE),
      "UPSTREAM_GARBLED",
      "",
    ],
    ["frames that are no JSON", writeResponse(200, "data: {nope\n\n", SSE), "UPSTREAM_GARBLED", ""],
    ["an empty stream", writeResponse(200, "", SSE), "UPSTREAM_GARBLED", ""],
    [
      "an end before the finish",
      writeResponse(200, writeDelta("got"), SSE),
      "UPSTREAM_GARBLED",
      "got",
    ],
    ["an error as its first event", writeResponse(200, ERROR, SSE), "UPSTREAM_FAILED", ""],
    [
      "an error after the first token",
      writeResponse(200, writeDelta("got") + ERROR, SSE),
      "UPSTREAM_FAILED",
      "",
    ],
    ["br", writeResponse(200, "xx", { ...SSE, "content-encoding": "br" }), "UPSTREAM_GARBLED", ""],
    [
      "gzip that is none",
      writeResponse(200, "xx", { ...SSE, "content-encoding": "gzip" }),
      "UPSTREAM_GARBLED",
      "",
    ],
    [
      "gzip that ends early",
      writeResponse(200, gzipSync(writeDelta("x")).subarray(0, 40), {
        ...SSE,
        "content-encoding": "gzip",
      }),
      "UPSTREAM_GARBLED",
      "",
    ],
    ["no content", "HTTP/1.1 204 No Content\r\n\r\n", "UPSTREAM_GARBLED", ""],
    [
      "a redirect",
      "HTTP/1.1 302 Found\r\nlocation: /\r\ncontent-length: 0\r\n\r\n",
      "UPSTREAM_",
      "",
    ],
  ];
  for (const [name, answer, reason, text] of lies) {
    it(`fails one request only, as ${reason}, when the upstream sends ${name}`, async () => {
      let calls = 0;
      const server = await serve((socket) => {
        if (calls++ > 0) socket.write(writeResponse(200, writeAnswer("well")));
        else socket.end(answer);
      });
      const target = createTarget(server.url);
      const trial = startChat(upstream, target, askOpenai({ stream: true }));
      await expect(trial.done).rejects.toMatchObject({ reason: expect.stringContaining(reason) });
      if (text !== "") expect(trial.text()).toBe(text);
      const next = startChat(upstream, target, askOpenai());
      await next.done;
      expect(next.text()).toBe("well");
    });
  }

  it("says UPSTREAM_FAILED after a reset, and what was used when content had come", async () => {
    const before = await serve((socket) => socket.resetAndDestroy());
    const early = startChat(upstream, createTarget(before.url), askOpenai({ stream: true }));
    await expect(early.done).rejects.toMatchObject({ reason: "UPSTREAM_FAILED" });
    expect(early.attempt.partial).toBeUndefined();

    const after = await serve((socket) => {
      socket.write(STREAM_HEAD);
      socket.write(writeChunk(writeDelta("twelve bytes")));
      setTimeout(() => socket.resetAndDestroy(), 30);
    });
    const late = startChat(upstream, createTarget(after.url), askOpenai({ stream: true }));
    await expect(late.done).rejects.toMatchObject({ reason: "UPSTREAM_FAILED" });
    expect(late.text()).toBe("twelve bytes");
    expect(late.attempt.partial).toMatchObject({ estimated: true });
    expect(late.attempt.partial?.outputTokens).toBeGreaterThan(0);
  });

  it("says UPSTREAM_FAILED when the connection ends within the body", async () => {
    const server = await serve((socket) => {
      socket.end(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 999\r\n\r\n{",
      );
    });
    const trial = startChat(upstream, createTarget(server.url), askOpenai());
    await expect(trial.done).rejects.toMatchObject({ reason: "UPSTREAM_FAILED" });
    expect(trial.attempt.partial).toBeDefined();
  });

  it("is content with a connection that breaks after the last event", async () => {
    const server = await serve((socket) => {
      socket.end(
        Buffer.concat([
          Buffer.from(STREAM_HEAD),
          writeChunk(writeDelta("x") + writeFinish() + DONE),
        ]),
      );
    });
    const trial = startChat(upstream, createTarget(server.url), askOpenai({ stream: true }));
    await expect(trial.done).resolves.toMatchObject({ usage: { outputTokens: 2 } });
  });

  it("reads errors with their status and when to come back", async () => {
    const body = JSON.stringify({
      error: { message: "slow down", type: "requests", code: "rate" },
    });
    const headers = { "content-type": "application/json", "retry-after": "7" };
    const server = await serve((socket) => socket.write(writeResponse(429, body, headers)));
    const trial = startChat(upstream, createTarget(server.url), askOpenai({ stream: true }));
    await expect(trial.done).rejects.toMatchObject({
      reason: "UPSTREAM_RATE_LIMITED",
      details: { retryAfterMs: 7000, upstream: { status: 429, code: "rate" } },
    });
    expect(trial.opened[0]).toMatchObject({ status: 429, headers: { "retry-after": "7" } });
    expect(trial.attempt.partial).toBeUndefined();
  });

  it("reads the beginning of an error that does not end", async () => {
    const server = await serve((socket) => {
      socket.write("HTTP/1.1 500 X\r\ncontent-type: text/plain\r\n\r\n");
      socket.write("x".repeat(2_000_000));
    });
    const trial = startChat(upstream, createTarget(server.url), askOpenai());
    await expect(trial.done).rejects.toMatchObject({ reason: "UPSTREAM_FAILED" });
  });

  it("makes an error of whatever a codec throws", async () => {
    const broken = () => {
      throw new TypeError("cannot read properties of undefined");
    };
    const reader = { read: broken, ended: false, end: broken, partialUsage: broken };
    const vendor = { ...dialects.openai.chat.vendor, createStreamReader: () => reader };
    const poisoned = createHttpUpstream({
      clock,
      dialects: {
        ...dialects,
        openai: { ...dialects.openai, chat: { ...dialects.openai.chat, vendor } },
      },
    });
    const server = await serve((socket) => socket.write(writeResponse(200, writeDelta("x"), SSE)));
    const trial = startChat(poisoned, createTarget(server.url), askOpenai({ stream: true }));
    await expect(trial.done).rejects.toMatchObject({
      reason: "UPSTREAM_GARBLED",
      details: { internal: expect.stringContaining("TypeError") },
    });
    await poisoned.destroy();
  });

  it("takes ten megabytes in one answer", async () => {
    const text = "x".repeat(10 * 1024 * 1024);
    const server = await serve((socket) => socket.write(writeResponse(200, writeAnswer(text))));
    const trial = startChat(upstream, createTarget(server.url), askOpenai());
    await trial.done;
    expect(trial.text()).toHaveLength(text.length);
  });

  it("refuses a provider that is not configured", async () => {
    const fault = "OPENAI_API_KEY is not set";
    const target = createTarget("http://127.0.0.1:1/v1", { provider: { fault } });
    await expect(startChat(upstream, target, askOpenai()).done).rejects.toMatchObject({
      reason: "UPSTREAM_CREDENTIAL",
      details: { internal: fault },
    });
  });
});

describe("createHttpUpstream(): cancellation and backpressure", () => {
  it("closes the connection within 100 ms of a cancel, and says what was used", async () => {
    const server = await serve((socket) => {
      socket.write(STREAM_HEAD);
      socket.write(writeChunk(writeDelta("some content")));
    });
    const trial = startChat(upstream, createTarget(server.url), askOpenai({ stream: true }));
    await until(() => trial.chunks.length > 0);
    const closed = new Promise((resolve) => server.sockets[0]?.once("close", resolve));
    const cause = new Error("gone");
    const startedMs = performance.now();
    trial.attempt.cancellation.cancel(cause);
    await expect(trial.done).rejects.toBe(cause);
    await closed;
    expect(performance.now() - startedMs).toBeLessThan(100);
    expect(trial.attempt.partial).toMatchObject({ estimated: true });
  });

  it("closes the connection when cancelled before the headers", async () => {
    const server = await serve(() => {});
    const trial = startChat(upstream, createTarget(server.url), askOpenai());
    await until(() => server.requests.length > 0);
    const closed = new Promise((resolve) => server.sockets[0]?.once("close", resolve));
    const cause = new Error("gone");
    trial.attempt.cancellation.cancel(cause);
    await expect(trial.done).rejects.toBe(cause);
    await closed;
    expect(trial.attempt.partial).toBeUndefined();
  });

  it("sends nothing when cancelled before there is a connection", async () => {
    const server = await serve((socket) => socket.write(writeResponse(200, writeAnswer("x"))));
    const trial = startChat(upstream, createTarget(server.url), askOpenai());
    const cause = new Error("gone");
    trial.attempt.cancellation.cancel(cause);
    await expect(trial.done).rejects.toBe(cause);
    await startChat(upstream, createTarget(server.url), askOpenai()).done;
    expect(server.requests).toHaveLength(1);
  });

  it("stops reading while the sink is behind, and loses nothing", async () => {
    const frame = writeChunk(writeDelta("x".repeat(32_000)));
    const frames = 3000;
    let sent = 0;
    const server = await serve((socket) => {
      socket.write(STREAM_HEAD);
      const more = () => {
        while (sent < frames) {
          sent++;
          if (!socket.write(frame)) return;
        }
        socket.off("drain", more);
        socket.write(Buffer.concat([writeChunk(writeFinish() + DONE), Buffer.from(STREAM_END)]));
      };
      socket.on("drain", more);
      more();
    });
    const ask = askOpenai({ stream: true, stream_options: { include_usage: true } });
    const trial = startChat(upstream, createTarget(server.url), ask, true);
    await until(() => trial.chunks.length > 0);
    await settle(300);
    // What fits into the kernel's buffers on both sides goes out; of 96 MB that is little.
    expect(sent).toBeLessThan(frames / 3);
    expect(trial.chunks).toHaveLength(1);
    trial.release();
    await trial.done;
    expect(trial.wire()).toHaveLength(
      frames * writeDelta("x".repeat(32_000)).length + writeFinish().length,
    );
  });
});

describe("createHttpUpstream(): requests", () => {
  it("shows the credential as the dialect wants it, and the operator's headers", async () => {
    const server = await serve((socket) => socket.write(writeResponse(200, writeAnswer("x"))));
    const headers = { "X-Org": "weir" };
    await startChat(upstream, createTarget(server.url, { headers }), askOpenai()).done;
    expect(server.requests[0]).toMatch(/^POST \/v1\/chat\/completions HTTP\/1\.1\r\n/);
    expect(server.requests[0]).toContain("authorization: Bearer sk-test\r\n");
    expect(server.requests[0]).toContain("x-org: weir\r\n");
    expect(server.requests[0]).toContain("x-request-id: req_1\r\n");
    expect(server.requests[0]).toContain("content-type: application/json\r\n");
  });

  it("puts the key where options.auth_header says, and keeps a base URL's query", async () => {
    const server = await serve((socket) => socket.write(writeResponse(200, writeAnswer("x"))));
    const target = createTarget(`${server.url}/?api-version=2026-01-01`, {
      options: { auth_header: "api-key" },
    });
    await startChat(upstream, target, askOpenai()).done;
    expect(server.requests[0]).toContain("POST /v1/chat/completions?api-version=2026-01-01 HTTP");
    expect(server.requests[0]).toContain("api-key: sk-test\r\n");
    expect(server.requests[0]).not.toContain("authorization");
  });

  it("takes base URLs in turn", async () => {
    const answer = (socket: net.Socket) => socket.write(writeResponse(200, writeAnswer("x")));
    const [a, b] = [await serve(answer), await serve(answer)];
    const target = createTarget([a.url, b.url]);
    for (let i = 0; i < 4; i++) await startChat(upstream, target, askOpenai()).done;
    expect([a.requests.length, b.requests.length]).toEqual([2, 2]);
  });

  it("embeds", async () => {
    const body = JSON.stringify({
      object: "list",
      model: "m-1",
      data: [{ object: "embedding", index: 0, embedding: [0.5, -0.5] }],
      usage: { prompt_tokens: 2, total_tokens: 2 },
    });
    const server = await serve((socket) => socket.write(writeResponse(200, body)));
    const ask = dialects.openai.embed.client.readAsk({ model: "m", input: "weir" }, 30);
    const vectors = await upstream.embed(createTarget(server.url), ask, createAttempt());
    expect(vectors.response().embeddings[0]?.values).toEqual([0.5, -0.5]);
    expect(vectors.usage).toMatchObject({ inputTokens: 2 });
    expect(server.requests[0]).toContain("POST /v1/embeddings HTTP");
  });
});

async function serve(answer: (socket: net.Socket, request: string) => void): Promise<RawServer> {
  const server = await startRawServer(answer);
  servers.push(server);
  return server;
}

/** Sends a streamed body in pieces of `size` bytes, each in a packet of its own. */
async function drip(socket: net.Socket, body: Buffer, size: number): Promise<void> {
  socket.write(STREAM_HEAD);
  for (let at = 0; at < body.length; at += size) {
    socket.write(writeChunk(body.subarray(at, at + size)));
    await new Promise((resolve) => setImmediate(resolve));
  }
  socket.write(STREAM_END);
}

/** Waits for what real sockets do in their own time. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await settle(1);
}

function settle(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
