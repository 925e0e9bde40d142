import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { FinishReason } from "../../gen/weir/v1/chat_pb.ts";
import { eventually } from "../../test/support/eventually.ts";
import { systemClock } from "../mesh/clock.ts";
import type { JsonObject } from "../mesh/json.ts";
import { FAULTS } from "../sim/parameters.ts";
import { type SimServer, startSimServer } from "../sim/server.ts";
import { findLocalEngines } from "./find-local-engines.ts";
import { createHttpUpstream } from "./http-upstream.ts";
import {
  askAnthropic,
  askOpenai,
  createAttempt,
  createTarget,
  dialects,
  startChat,
} from "./trial.fixture.ts";

const upstream = createHttpUpstream({ clock: systemClock, dialects });
let server: SimServer;
let url = "";

beforeAll(async () => {
  server = await startSimServer({ host: "127.0.0.1", port: 0, clock: systemClock });
  url = `http://127.0.0.1:${server.port}/v1`;
});

afterAll(async () => {
  await upstream.destroy();
  await server.close();
});

describe("createHttpUpstream() with the simulated engine", () => {
  for (const dialect of ["openai", "anthropic"] as const) {
    for (const ask of [askOpenai, askAnthropic]) {
      for (const stream of [false, true]) {
        it(`${stream ? "streams" : "answers"} what ${ask.name} asks of ${dialect}`, async () => {
          const trial = chat(dialect, "echo", ask({ stream }));
          const end = await trial.done;
          expect(trial.text()).toBe("hello weir");
          expect(end.finish.reason).toBe(FinishReason.STOP);
          expect(end.usage).toMatchObject({ inputTokens: 3, outputTokens: 3, estimated: false });
          expect(trial.attempt.partial).toBeUndefined();
        });
      }
    }
  }

  it("hands on the upstream's own bytes in the same dialect, but for the last frame", async () => {
    const body = {
      model: "text?tokens=200",
      messages: [{ role: "user", content: "hello weir" }],
      stream: true,
      stream_options: { include_usage: true },
    };
    const direct = await fetch(`${url}/chat/completions`, {
      method: "POST",
      body: JSON.stringify(body),
    });
    const sent = await direct.text();
    const trial = chat("openai", body.model, askOpenai({ ...body, model: "any" }));
    await trial.done;
    expect(`${trial.wire()}data: [DONE]\n\n`).toBe(sent);
  });

  it("brings back the characters that were split over packets", async () => {
    const text = "Grüße an die Wehrwärter 🌊 — 水門は開いている";
    for (const dialect of ["openai", "anthropic"] as const) {
      for (const stream of [false, true]) {
        const sim = { fault: "split_utf8", text };
        const trial = chat(dialect, "text", askOpenai({ stream }), sim);
        await trial.done;
        expect(trial.text()).toBe(text);
      }
    }
  });

  it("takes ten megabytes, plain and streamed", async () => {
    for (const stream of [false, true]) {
      const trial = chat("openai", "text?fault=huge", askOpenai({ stream }));
      await trial.done;
      expect(trial.text()).toHaveLength(10 * 1024 * 1024);
    }
  });

  it("lets the upstream see a cancel, long before its stream would have ended", async () => {
    for (const dialect of ["openai", "anthropic"] as const) {
      const before = server.stats().aborted;
      const trial = chat(dialect, "text?tps=50&tokens=5000", askOpenai({ stream: true }));
      await eventually(() => expect(trial.chunks.length).toBeGreaterThanOrEqual(3));
      const startedWallMs = Date.now();
      trial.attempt.cancellation.cancel(new Error("gone"));
      await expect(trial.done).rejects.toThrow("gone");
      await eventually(() => expect(server.stats().aborted).toBe(before + 1));
      expect(server.stats().lastAbortWallMs).toBeGreaterThanOrEqual(startedWallMs);
      expect(trial.attempt.partial?.inputTokens).toBeGreaterThan(0);
      expect(trial.attempt.partial?.outputTokens).toBeGreaterThan(0);
    }
  });

  const reasons: Record<string, string> = {
    "status:500": "UPSTREAM_FAILED",
    "status:503": "UPSTREAM_FAILED",
    "status:429": "UPSTREAM_RATE_LIMITED",
    "status:401": "UPSTREAM_CREDENTIAL",
    "status:422": "UPSTREAM_REFUSED",
    refuse: "UPSTREAM_FAILED",
    reset: "UPSTREAM_FAILED",
    "reset&fault_after=5": "UPSTREAM_FAILED",
    half_frame: "UPSTREAM_GARBLED",
    "half_frame&fault_after=5": "UPSTREAM_GARBLED",
    garbage: "UPSTREAM_GARBLED",
    context_length: "CONTEXT_TOO_LONG",
  };
  for (const [fault, reason] of Object.entries(reasons)) {
    it(`sees ${fault} as ${reason}`, async () => {
      for (const dialect of ["openai", "anthropic"] as const) {
        for (const stream of [false, true]) {
          const trial = chat(dialect, `text?fault=${fault}`, askOpenai({ stream }));
          await expect(trial.done, `${dialect} ${stream}`).rejects.toMatchObject({ reason });
        }
      }
    });
  }

  it("sees an error event as UPSTREAM_FAILED, first or later", async () => {
    for (const dialect of ["openai", "anthropic"] as const) {
      for (const after of [0, 5]) {
        const model = `text?fault=error_event&fault_after=${after}&tps=500`;
        const trial = chat(dialect, model, askOpenai({ stream: true }));
        await expect(trial.done).rejects.toMatchObject({ reason: "UPSTREAM_FAILED" });
        // Later it may share a read with what came before it, and then its text is lost too.
        if (after === 0) expect(trial.text()).toBe("");
      }
    }
  });

  it("waits for a stalled upstream until it is cancelled", async () => {
    for (const fault of ["stall", "stall&fault_after=3"]) {
      const trial = chat("openai", `text?fault=${fault}`, askOpenai({ stream: true }));
      const begun = () => (fault === "stall" ? server.stats().active : trial.chunks.length);
      await eventually(() => expect(begun()).toBeGreaterThan(0));
      trial.attempt.cancellation.cancel(new Error("enough"));
      await expect(trial.done).rejects.toThrow("enough");
      expect(trial.attempt.partial !== undefined).toBe(fault.includes("after"));
    }
  });

  it("does without usage, and without a last frame where the finish has come", async () => {
    for (const stream of [true, false]) {
      const silent = chat("openai", "text?fault=no_usage", askOpenai({ stream }));
      expect((await silent.done).usage).toBeUndefined();
      // The 64 tokens that came are estimated, so that they are not free.
      expect(silent.attempt.partial?.outputTokens).toBeGreaterThanOrEqual(60);
    }
    const cut = await chat("openai", "text?fault=no_done", askOpenai({ stream: true })).done;
    expect(cut.finish.reason).toBe(FinishReason.STOP);
  });

  it("serves well after every fault", async () => {
    for (const name of FAULTS) {
      if (name === "stall" || name === "huge" || name === "slow_headers") continue;
      const fault = name === "status" ? "status:500" : name;
      await chat("openai", `text?fault=${fault}`, askOpenai({ stream: true })).done.catch(() => {});
    }
    const trial = chat("openai", "echo", askOpenai());
    await trial.done;
    expect(trial.text()).toBe("hello weir");
    await eventually(() => expect(server.stats().active).toBe(0));
  });

  it("counts tokens where the vendor can", async () => {
    const anthropic = createTarget(url, {
      upstreamModel: "echo",
      provider: { dialect: "anthropic" },
    });
    expect(await upstream.countTokens(anthropic, askOpenai(), createAttempt())).toBe(3);
    const openai = createTarget(url, { upstreamModel: "echo" });
    expect(await upstream.countTokens(openai, askOpenai(), createAttempt())).toBeUndefined();
  });

  it("embeds", async () => {
    const ask = dialects.openai.embed.client.readAsk({ model: "m", input: ["a", "b"] }, 30);
    const target = createTarget(url, { upstreamModel: "embed" });
    const vectors = await upstream.embed(target, ask, createAttempt());
    expect(vectors.response().embeddings.map((each) => each.values.length)).toEqual([256, 256]);
  });
});

describe("findLocalEngines()", () => {
  it("finds what answers like an engine, and nothing on Weir's own ports", async () => {
    const ports = [
      { name: "mine", port: server.port },
      { name: "nobody", port: 1 },
    ];
    const search = { clock: systemClock, ports, timeoutMs: 30_000 };
    expect(await findLocalEngines(search)).toEqual([
      { name: "mine", baseUrl: url, models: ["echo", "text", "embed"] },
    ]);
    const ownPorts = [server.port];
    expect(await findLocalEngines({ ...search, ownPorts })).toEqual([]);
  });
});

function chat(
  dialect: "openai" | "anthropic",
  upstreamModel: string,
  ask: ReturnType<typeof askOpenai>,
  sim?: JsonObject,
) {
  const overrides = sim === undefined ? undefined : { sim };
  const target = createTarget(url, { upstreamModel, overrides, provider: { dialect } });
  return startChat(upstream, target, ask);
}
