import type net from "node:net";
import { gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { FinishReason } from "../../gen/weir/v1/chat_pb.ts";
import { eventually } from "../../test/support/eventually.ts";
import { VirtualClock } from "../mesh/virtual-clock.ts";
import { createHttpUpstream } from "./http-upstream.ts";
import {
  askOpenai,
  createAttempt,
  createTarget,
  DONE,
  dialects,
  STREAM_END,
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
    const { origin } = new URL(server.url);
    const idle = { origin, connected: 1, running: 0, waiting: 0 };
    const rest = async () => {
      await eventually(() => expect(upstream.connections()).toContainEqual(idle));
      // Its pool knows it a turn later.
      for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
    };
    await startChat(upstream, target, askOpenai()).done;
    await rest();
    await expect(startChat(upstream, target, askOpenai()).done).rejects.toThrow();
    await rest();
    await startChat(upstream, target, askOpenai()).done;
    expect(server.sockets).toHaveLength(1);
    await rest();
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

/** Sends a streamed body in pieces of `size` bytes, each in a packet of its own. */
async function drip(socket: net.Socket, body: Buffer, size: number): Promise<void> {
  socket.write(STREAM_HEAD);
  for (let at = 0; at < body.length; at += size) {
    socket.write(writeChunk(body.subarray(at, at + size)));
    await new Promise((resolve) => setImmediate(resolve));
  }
  socket.write(STREAM_END);
}
