import { describe, expect, it } from "vitest";
import { eventually, stillness } from "../../test/support/eventually.ts";
import { MeshError } from "../mesh/errors.ts";
import { VirtualClock } from "../mesh/virtual-clock.ts";
import { createHttpUpstream } from "./http-upstream.ts";
import {
  askOpenai,
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

describe("createHttpUpstream(): cancellation and backpressure", () => {
  it("closes the connection of a stream that is cancelled, and says what was used", async () => {
    const server = await serve((socket) => {
      socket.write(STREAM_HEAD);
      socket.write(writeChunk(writeDelta("some content")));
    });
    const trial = startChat(upstream, createTarget(server.url), askOpenai({ stream: true }));
    await until(() => trial.chunks.length > 0);
    const closed = new Promise((resolve) => server.sockets[0]?.once("close", resolve));
    const cause = new Error("gone");
    trial.attempt.cancellation.cancel(cause);
    await expect(trial.done).rejects.toBe(cause);
    // The virtual clock stands: nothing but the cancel can have closed it.
    await closed;
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

  for (const reason of ["CALLER_GONE", "DEADLINE_EXCEEDED", "CREDENTIAL_UNKNOWN"] as const) {
    it(`bills the prompt when ${reason} comes before the headers: the vendor has it`, async () => {
      const server = await serve(() => {});
      const trial = startChat(upstream, createTarget(server.url), askOpenai());
      await until(() => server.requests.length > 0);
      const cause = new MeshError(reason, "gone");
      trial.attempt.cancellation.cancel(cause);
      await expect(trial.done).rejects.toBe(cause);
      expect(trial.attempt.partial).toMatchObject({ estimated: true, outputTokens: 0 });
      expect(trial.attempt.partial?.inputTokens).toBeGreaterThan(0);
    });
  }

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
    // What fits into the kernel's buffers on both sides goes out; of 96 MB that is little.
    expect(await stillness(() => sent)).toBeLessThan(frames / 3);
    expect(trial.chunks).toHaveLength(1);
    trial.release();
    await trial.done;
    expect(trial.wire()).toHaveLength(
      frames * writeDelta("x".repeat(32_000)).length + writeFinish().length,
    );
  });
});

/** Waits for what real sockets do in their own time. */
async function until(holds: () => boolean): Promise<void> {
  await eventually(() => expect(holds()).toBe(true));
}
