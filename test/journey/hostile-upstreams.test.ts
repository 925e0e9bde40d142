import type { MessageInitShape } from "@bufbuild/protobuf";
import { type Client, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { Agent, request } from "undici";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import type { TimeoutsSchema } from "../../gen/weir/admin/v1/model_pb.ts";
import { Role } from "../../gen/weir/v1/chat_pb.ts";
import { ChatService } from "../../gen/weir/v1/chat_service_pb.ts";
import { errorTable } from "../../src/mesh/errors.ts";
import { findFreePort } from "../support/free-port.ts";
import { until } from "../support/own-process.ts";
import { type Answer, chat, chatBody, listData, post, streamText } from "../support/rest-calls.ts";
import {
  endAll,
  KEY,
  type SimProcess,
  startSim,
  startWeir,
  type WeirProcess,
} from "../support/weir-process.ts";

const WAIT_MS = 60_000;
const patience = { seconds: 0n, nanos: 500_000_000 };
/**
 * Only for what never comes: a busy machine may need longer for what does. All others have the
 * usual patience.
 */
const impatient: Readonly<Record<string, MessageInitShape<typeof TimeoutsSchema>>> = {
  "hasty-openai": { firstToken: patience, total: { seconds: 1n, nanos: 0 } },
  "hasty-anthropic": { firstToken: patience, total: { seconds: 1n, nanos: 0 } },
  "restless-openai": { idle: patience },
};
const MEMORY_MIB_MAX = 600;
/** Anthropic's dialect needs a limit, and a small one is taken when there is none. */
const TOKENS_MAX = 100_000_000;

let weir: WeirProcess;
let sim: SimProcess;
let rpc: Client<typeof ChatService>;
/** One connection for all: what hurts it would hurt the request that follows. */
let dispatcher: Agent;

beforeAll(async () => {
  [weir, sim] = await Promise.all([startWeir(), startSim()]);
  dispatcher = new Agent({ connections: 1 });
  rpc = createClient(ChatService, createGrpcTransport({ baseUrl: weir.url }));
  const dead = `http://127.0.0.1:${await findFreePort()}/v1`;
  for (const name of ["openai", "anthropic", "dead", ...Object.keys(impatient)]) {
    const dialect = name.endsWith("anthropic") ? "anthropic" : "openai";
    const baseUrl = name === "dead" ? dead : sim.baseUrl;
    const timeouts = impatient[name];
    const provider = `providers/${name}`;
    await weir.admin.createProvider({
      provider: { name: provider, dialect, baseUrls: [baseUrl], prices: { "*": price } },
    });
    await weir.admin.createModel({
      model: {
        name: `models/${name}/*`,
        targets: [{ provider, upstreamModel: "*" }],
        retriesPerTarget: 0,
        ...(timeouts === undefined ? {} : { timeouts }),
      },
    });
  }
});
afterAll(async () => {
  await dispatcher?.close();
  await endAll();
});

const price = { inputNanoUsdPerMillion: 1_000_000n, outputNanoUsdPerMillion: 2_000_000n };

/** What came of a request, whichever door it went through. */
interface Result {
  readonly requestId: string;
  readonly text: string;
  /** Undefined when all went well. */
  readonly reason: string | undefined;
}

interface Door {
  readonly name: string;
  ask(model: string): Promise<Result>;
}

const doors: readonly Door[] = [
  {
    name: "REST, plain",
    ask: async (model) => {
      const answer = await chat(weir, { model, max_tokens: TOKENS_MAX }, { dispatcher });
      const { json, requestId, status } = answer;
      if (status !== 200) return await readRefusal(answer);
      return { requestId, reason: undefined, text: json.choices[0].message.content };
    },
  },
  {
    name: "REST, streamed",
    ask: async (model) => {
      const fields = { model, max_tokens: TOKENS_MAX, stream: true };
      const answer = await chat(weir, fields, { dispatcher });
      const { requestId, status, text } = answer;
      if (status !== 200) return await readRefusal(answer);
      const error = listData(text).find((data) => data.error !== undefined);
      // Exactly one of the two ends a stream.
      expect(text.includes("data: [DONE]")).toBe(error === undefined);
      const reason = error === undefined ? undefined : await reasonOf(requestId);
      return { requestId, reason, text: streamText(text) };
    },
  },
  {
    name: "REST of Anthropic, streamed",
    ask: async (model) => {
      const body = { ...chatBody({ model, stream: true }), max_tokens: TOKENS_MAX };
      const answer = await post(weir, "/v1/messages", body, { dispatcher });
      const { requestId, status } = answer;
      if (status !== 200) return await readRefusal(answer);
      const events = listData(answer.text);
      const error = events.find(({ type }) => type === "error");
      expect(events.some(({ type }) => type === "message_stop")).toBe(error === undefined);
      return {
        requestId,
        reason: error === undefined ? undefined : await reasonOf(requestId),
        text: events.map(({ delta }) => delta?.text ?? "").join(""),
      };
    },
  },
  {
    name: "gRPC, streamed",
    ask: async (model) => {
      let requestId = "";
      let text = "";
      try {
        for await (const { event } of rpc.streamChat(rpcChat(model), rpcOptions())) {
          if (event.case === "started") requestId = event.value.decision?.requestId ?? "";
          if (event.case === "textDelta") text += event.value.text;
        }
      } catch (thrown) {
        const [info] = ConnectError.from(thrown).findDetails(ErrorInfoSchema);
        requestId ||= info?.metadata.request_id ?? "";
        return { requestId, text, reason: info?.reason ?? String(thrown) };
      }
      return { requestId, text, reason: undefined };
    },
  },
];

function rpcChat(model: string) {
  const part = { part: { case: "text" as const, value: { text: "one two" } } };
  const messages = [{ role: Role.USER, parts: [part] }];
  return { chat: { model, messages, sampling: { maxTokens: TOKENS_MAX } } };
}

function rpcOptions() {
  return { headers: { authorization: `Bearer ${KEY}` }, timeoutMs: WAIT_MS };
}

/** An error object of either dialect, and the reason that the ledger has. */
async function readRefusal({ status, json, requestId }: Answer): Promise<Result> {
  const reason = await reasonOf(requestId);
  const row = Object.entries(errorTable).find(([name]) => name === reason)?.[1];
  expect(status).toBe(row?.http);
  expect(json.error.message).toMatch(/\w/);
  expect(json.error.type).toMatch(/_(?:error|quota)$/);
  return { requestId, reason, text: "" };
}

async function reasonOf(requestId: string): Promise<string> {
  return (await weir.record(requestId)).errorReason;
}

interface Fault {
  readonly fault: string;
  /** What the caller is told; undefined when nothing. */
  readonly reason: string | undefined;
}

const faults: readonly Fault[] = [
  { fault: "status:500", reason: "UPSTREAM_FAILED" },
  { fault: "status:429", reason: "UPSTREAM_RATE_LIMITED" },
  { fault: "status:401", reason: "UPSTREAM_CREDENTIAL" },
  { fault: "status:400", reason: "UPSTREAM_REFUSED" },
  { fault: "refuse", reason: "UPSTREAM_FAILED" },
  { fault: "reset", reason: "UPSTREAM_FAILED" },
  { fault: "stall", reason: "UPSTREAM_TIMEOUT" },
  { fault: "half_frame", reason: "UPSTREAM_GARBLED" },
  { fault: "garbage", reason: "UPSTREAM_GARBLED" },
  { fault: "error_event", reason: expect.stringMatching(/^UPSTREAM_(?:FAILED|GARBLED)$/) },
  { fault: "context_length", reason: "CONTEXT_TOO_LONG" },
  { fault: "content_filter", reason: "CONTENT_BLOCKED" },
];

describe.each(doors)("$name", (door) => {
  describe.each(["openai", "anthropic"])("an upstream of %s", (upstream) => {
    it.each(faults)("that begins with $fault", async ({ fault, reason }) => {
      const model = fault === "stall" ? `hasty-${upstream}` : upstream;
      const result = await door.ask(`${model}/echo?fault=${fault}`);
      expect(result).toMatchObject({ reason, text: "" });
      await expectUnhurt();
      const { errorReason, attempts } = await weir.record(result.requestId);
      expect([errorReason, attempts.length]).toEqual([reason, 1]);
    });

    it("that splits characters", async () => {
      const text = "Grüße 🌊 漢字";
      const model = `${upstream}/echo?fault=split_utf8&text=${encodeURIComponent(text)}`;
      expect(await door.ask(model)).toMatchObject({ reason: undefined, text });
    });

    it("that answers ten megabytes", async () => {
      const { reason, text } = await door.ask(`${upstream}/echo?fault=huge`);
      expect(reason).toBeUndefined();
      expect(text.length).toBeGreaterThan(10_000_000);
      await expectUnhurt();
    });
  });

  it("an upstream where nobody listens", async () => {
    const { reason, requestId } = await door.ask("dead/echo");
    expect(reason).toBe("UPSTREAM_FAILED");
    expect((await weir.record(requestId)).attempts).toMatchObject([{ httpStatus: 0 }]);
  });
});

describe.each(doors.slice(1))("$name", (door) => {
  const broken: readonly Fault[] = [
    { fault: "reset", reason: "UPSTREAM_FAILED" },
    { fault: "stall", reason: "UPSTREAM_TIMEOUT" },
    { fault: "half_frame", reason: "UPSTREAM_GARBLED" },
    { fault: "garbage", reason: "UPSTREAM_GARBLED" },
    { fault: "error_event", reason: "UPSTREAM_FAILED" },
  ];
  // What shares a read with a fault is lost with it: where this machine has been busy for so long
  // that nothing was read before, it is tried again.
  it.each(broken)("an upstream that goes on with $fault", { retry: 3 }, async (each) => {
    const { fault, reason } = each;
    const upstream = fault === "stall" ? "restless-openai" : "openai";
    const model = `${upstream}/text?tokens=40&tps=80&fault=${fault}&fault_after=16`;
    const result = await door.ask(model);
    expect(result.reason).toBe(reason);
    expect(result.text).not.toBe("");
    await expectUnhurt();
    const record = await weir.record(result.requestId);
    expect(record).toMatchObject({ errorReason: reason, costKnown: true });
    expect(record.usage?.estimated).toBe(true);
    expect(record.usage?.outputTokens).toBeGreaterThan(0);
    expect(record.costNanoUsd).toBeGreaterThan(0n);
  });
});

async function expectUnhurt(): Promise<void> {
  const { status, json } = await chat(weir, {}, { dispatcher });
  expect([status, json.choices[0].message.content]).toEqual([200, "one two"]);
}

describe("a client that leaves", () => {
  // Longer than any bound here: what ends them is that the client has left.
  const endless = "openai/text?tokens=100000&tps=50";
  const silent = "openai/text?ttft_ms=600000";

  /** Until then the upstream has nobody else to serve. */
  async function expectAborted(aborted: number): Promise<void> {
    await until("the upstream sees it", WAIT_MS, async () => {
      const seen = await sim.stats();
      return seen.aborted > aborted && seen.active === 0;
    });
  }

  async function leaveRest(fields: Readonly<Record<string, unknown>>, chunks: number) {
    const abort = new AbortController();
    const own = new Agent();
    const answer = await request(`${weir.url}/v1/chat/completions`, {
      method: "POST",
      dispatcher: own,
      headers: { authorization: `Bearer ${KEY}`, "content-type": "application/json" },
      body: JSON.stringify(chatBody(fields)),
      signal: abort.signal,
    });
    answer.body.on("error", () => {});
    let seen = 0;
    for await (const _ of answer.body) {
      if (++seen >= chunks) break;
    }
    abort.abort();
    await own.destroy();
    return { requestId: String(answer.headers["x-request-id"]) };
  }

  it("in a stream over REST: the upstream is cut off, the usage is settled", async () => {
    const { aborted } = await sim.stats();
    const left = await leaveRest({ model: endless, stream: true }, 5);
    await expectAborted(aborted);
    const record = await weir.record(left.requestId);
    expect(record).toMatchObject({ errorReason: "CALLER_GONE", stream: true });
    expect(record.usage).toMatchObject({ estimated: true });
    expect(record.usage?.outputTokens).toBeGreaterThan(0);
    await expectUnhurt();
  });

  it("in a stream over gRPC: likewise", async () => {
    const { aborted } = await sim.stats();
    const abort = new AbortController();
    let requestId = "";
    let deltas = 0;
    const read = async () => {
      const options = { ...rpcOptions(), signal: abort.signal };
      for await (const { event } of rpc.streamChat(rpcChat(endless), options)) {
        if (event.case === "started") requestId = event.value.decision?.requestId ?? "";
        if (event.case === "textDelta") deltas++;
        if (deltas === 5) abort.abort();
      }
    };
    await expect(read()).rejects.toThrow();
    await expectAborted(aborted);
    const record = await weir.record(requestId);
    expect(record).toMatchObject({ errorReason: "CALLER_GONE" });
    expect(record.usage?.outputTokens).toBeGreaterThan(0);
    // Only its own stream: the connection goes on.
    expect((await rpc.createChat(rpcChat("sim/echo"), rpcOptions())).choices).toHaveLength(1);
  });

  it("before an answer over REST: likewise", async () => {
    const { aborted, requests } = await sim.stats();
    const own = new Agent();
    const asked = chat(weir, { model: silent }, { dispatcher: own });
    asked.catch(() => {});
    await until("the upstream is asked", WAIT_MS, async () => {
      return (await sim.stats()).requests > requests;
    });
    await own.destroy();
    await expect(asked).rejects.toThrow();
    await expectAborted(aborted);
  });

  it("by its deadline over gRPC: likewise", async () => {
    const { aborted, requests } = await sim.stats();
    // What a busy machine cannot begin in time is asked again with more.
    for (let timeoutMs = 200; (await sim.stats()).requests === requests; timeoutMs *= 2) {
      const options = { ...rpcOptions(), timeoutMs };
      await expect(rpc.createChat(rpcChat(silent), options)).rejects.toMatchObject({ code: 4 });
    }
    await expectAborted(aborted);
  });
});

describe("after all that", () => {
  it("Weir is ready, has not been restarted, and has kept its memory in bounds", async () => {
    const { statusCode, body } = await request(`${weir.url}/readyz`);
    await body.dump();
    expect(statusCode).toBe(200);
    expect(weir.output).not.toContain("process ended");
    expect(weir.output).not.toContain('"msg":"fault"');
    expect(weir.memory(weir.proxy(0))).toBeLessThan(MEMORY_MIB_MAX);
    expect(await weir.stop()).toBe(0);
  });
});
