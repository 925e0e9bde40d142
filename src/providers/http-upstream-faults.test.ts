import { gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { eventually } from "../../test/support/eventually.ts";
import { VirtualClock } from "../mesh/virtual-clock.ts";
import { createHttpUpstream } from "./http-upstream.ts";
import {
  askOpenai,
  createTarget,
  DONE,
  dialects,
  STREAM_HEAD,
  serve,
  startChat,
  writeAnswer,
  writeChunk,
  writeDelta,
  writeFinish,
  writeResponse,
} from "./trial.fixture.ts";

const clock = new VirtualClock();
const upstream = createHttpUpstream({ clock, dialects });

describe("createHttpUpstream(): lies and faults", () => {
  it("says UPSTREAM_FAILED when nobody listens, with nothing to bill and the reason inside", async () => {
    const server = await serve(() => {});
    await server.close();
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
    });
    const late = startChat(upstream, createTarget(after.url), askOpenai({ stream: true }));
    // A reset throws away what has not been read.
    await eventually(() => expect(late.chunks).toHaveLength(1));
    after.sockets[0]?.resetAndDestroy();
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
