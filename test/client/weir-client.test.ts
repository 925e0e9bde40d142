import { create } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { afterEach, describe, expect, it } from "vitest";
import { ChatFinishedSchema, ChatStartedSchema } from "../../gen/weir/v1/chat_service_pb.ts";
import { VectorEncoding } from "../../gen/weir/v1/embed_pb.ts";
import {
  type ChatEvent,
  createWeirClient,
  user,
  type WeirClient,
  type WeirClientOptions,
  WeirError,
} from "../../src/client/index.ts";
import type { Surroundings } from "../../src/client/surroundings.ts";
import { certificate } from "../ingress/certificate.ts";
import { eventually } from "../support/eventually.ts";
import { type Answers, createRpcError, openPretendWeir, type PretendWeir } from "./pretend-weir.ts";

const opened: Array<{ close(): unknown }> = [];

afterEach(async () => {
  for (const each of opened.splice(0).reverse()) await each.close();
});

/** Time that passes only by waiting for a retry. */
class Waiting implements Surroundings {
  readonly waits: number[] = [];
  #now = 0;
  now(): number {
    return this.#now;
  }
  unit(): number {
    return 0.5;
  }
  async pause(ms: number): Promise<void> {
    this.waits.push(ms);
    this.#now += ms;
  }
}

interface Scene {
  readonly weir: PretendWeir;
  readonly client: WeirClient;
  readonly waiting: Waiting;
}

const chat = { model: "sim/echo", messages: [user("hello")] };

for (const transport of ["grpc", "connect"] as const) {
  const openScene = async (
    answers: Answers,
    options: Partial<WeirClientOptions> = {},
  ): Promise<Scene> => {
    const weir = await openPretendWeir(answers);
    const waiting = new Waiting();
    const { address } = weir;
    const client = createWeirClient({ address, key: "wk_test", transport, ...options }, waiting);
    opened.push(weir, client);
    return { weir, client, waiting };
  };

  describe(`createWeirClient(), ${transport}`, () => {
    it("asks with the key and takes the answer", async () => {
      const seen: unknown[] = [];
      const { client } = await openScene({
        chat: {
          createChat: (request, context) => {
            seen.push(context.requestHeader.get("authorization"), request.chat?.model);
            const parts = [
              { part: { case: "text" as const, value: { text: "hel" } } },
              { part: { case: "reasoning" as const, value: { text: "hm" } } },
              { part: { case: "text" as const, value: { text: "lo" } } },
            ];
            return { choices: [{ message: { parts } }] };
          },
        },
      });
      expect(await client.chat.text(chat)).toBe("hello");
      expect(seen).toEqual(["Bearer wk_test", "sim/echo"]);
    });

    it("streams events in order", async () => {
      const { client } = await openScene({ chat: { streamChat: () => stream("a", "b") } });
      const events: ChatEvent[] = [];
      for await (const event of client.chat.stream(chat)) events.push(event);
      expect(events.map((event) => event.case)).toEqual([
        "started",
        "textDelta",
        "textDelta",
        "finished",
      ]);
    });

    it("cancels the call when the reader leaves", async () => {
      let aborted = false;
      const { client } = await openScene({
        chat: {
          streamChat: async function* (_, { signal }) {
            signal.addEventListener("abort", () => {
              aborted = true;
            });
            yield* stream("a");
            await new Promise(() => {});
          },
        },
      });
      for await (const event of client.chat.stream(chat)) if (event.case === "textDelta") break;
      await eventually(() => expect(aborted).toBe(true));
    });

    it("cancels by signal, and says so", async () => {
      const stop = new AbortController();
      const { client } = await openScene({
        chat: {
          createChat: () => {
            stop.abort(new Error("enough"));
            return new Promise(() => {});
          },
        },
      });
      const error = await failureOf(client.chat.create(chat, { signal: stop.signal }));
      expect(error).toMatchObject({ reason: "CALLER_GONE", code: 1 });
      expect(error.cause).toMatchObject({ message: "enough" });
    });

    it("does not call with a signal that is aborted already", async () => {
      let calls = 0;
      const { client } = await openScene({
        chat: {
          createChat: () => {
            calls += 1;
            return {};
          },
        },
      });
      const signal = AbortSignal.abort();
      expect((await failureOf(client.chat.create(chat, { signal }))).reason).toBe("CALLER_GONE");
      expect((await failureOf(drain(client.chat.stream(chat, { signal })))).code).toBe(1);
      expect(calls).toBe(0);
    });

    it("calls by the machine's own clock, which has fractions of milliseconds", async () => {
      const weir = await openPretendWeir({
        chat: { createChat: () => ({}), streamChat: () => stream() },
      });
      const client = createWeirClient({ address: weir.address, key: "wk_test", transport });
      opened.push(weir, client);
      await client.chat.create(chat);
      await drain(client.chat.stream(chat, { timeoutMs: 60_000.5 }));
    });

    it("keeps the deadline", async () => {
      const { client } = await openScene({ chat: { createChat: () => new Promise(() => {}) } });
      const error = await failureOf(client.chat.create(chat, { timeoutMs: 50 }));
      expect(error).toMatchObject({ reason: "DEADLINE_EXCEEDED", code: 4 });
    });

    it("reads an error with its details", async () => {
      const { client } = await openScene({
        chat: {
          createChat: () => {
            throw createRpcError(Code.ResourceExhausted, "RATE_LIMITED", { retryMs: 1500 });
          },
        },
      });
      expect(await failureOf(client.chat.create(chat))).toMatchObject({
        name: "WeirError",
        reason: "RATE_LIMITED",
        code: 8,
        message: "It is RATE_LIMITED.",
        metadata: { policy: "policies/p" },
        retryDelayMs: 1500,
        requestId: "req_1",
      });
    });

    it("tries again when Weir is UNAVAILABLE, with growing waits", async () => {
      let calls = 0;
      const { client, waiting } = await openScene({
        chat: {
          createChat: () => {
            calls += 1;
            if (calls < 3) throw createRpcError(Code.Unavailable, "UNAVAILABLE");
            return { upstreamModelVersion: "v" };
          },
        },
      });
      expect((await client.chat.create(chat)).upstreamModelVersion).toBe("v");
      expect(waiting.waits).toEqual([50, 100]);
    });

    it("waits as long as it is told", async () => {
      let calls = 0;
      const { client, waiting } = await openScene({
        chat: {
          streamChat: () => {
            calls += 1;
            if (calls === 1) {
              throw createRpcError(Code.Unavailable, "UNAVAILABLE", { retryMs: 700 });
            }
            return stream("a");
          },
        },
      });
      await drain(client.chat.stream(chat));
      expect(waiting.waits).toEqual([700]);
    });

    const finals: Array<[string, Code, string, number | undefined]> = [
      ["other codes", Code.ResourceExhausted, "RATE_LIMITED", undefined],
      ["a wrong credential of Weir's", Code.Unavailable, "UPSTREAM_CREDENTIAL", undefined],
      ["waits beyond the longest", Code.Unavailable, "QUOTA_UNAVAILABLE", 60_000],
    ];
    for (const [what, code, reason, retryMs] of finals) {
      it(`does not try again after ${what}`, async () => {
        const { client, waiting } = await openScene({
          chat: {
            createChat: () => {
              throw createRpcError(code, reason, retryMs === undefined ? {} : { retryMs });
            },
          },
        });
        expect((await failureOf(client.chat.create(chat))).reason).toBe(reason);
        expect(waiting.waits).toEqual([]);
      });
    }

    it("does not try again once something was received", async () => {
      let calls = 0;
      const { client } = await openScene({
        chat: {
          streamChat: async function* () {
            calls += 1;
            yield* stream("a");
            throw createRpcError(Code.Unavailable, "UPSTREAM_FAILED");
          },
        },
      });
      expect((await failureOf(drain(client.chat.stream(chat)))).reason).toBe("UPSTREAM_FAILED");
      expect(calls).toBe(1);
    });

    it("gives up when the wait would pass the deadline", async () => {
      const { client, waiting } = await openScene({
        chat: {
          createChat: () => {
            throw createRpcError(Code.Unavailable, "UNAVAILABLE", { retryMs: 90_000 });
          },
        },
      });
      const error = await failureOf(client.chat.create(chat, { timeoutMs: 60_000 }));
      expect([error.reason, waiting.waits]).toEqual(["UNAVAILABLE", []]);
    });

    it("stops trying when the budget is spent", async () => {
      let calls = 0;
      const { client } = await openScene(
        {
          chat: {
            createChat: () => {
              calls += 1;
              throw createRpcError(Code.Unavailable, "UNAVAILABLE");
            },
          },
        },
        { retry: { attempts: 2, budgetRatio: 0.1, budgetPerSecond: 0 } },
      );
      for (let call = 0; call < 30; call++) await failureOf(client.chat.create(chat));
      expect(calls).toBeGreaterThanOrEqual(32);
      expect(calls).toBeLessThanOrEqual(33);
    });

    it("says UNAVAILABLE when nobody listens, and finds Weir when it is back", async () => {
      const { client, weir } = await openScene({}, { retry: false });
      await weir.close();
      const error = await failureOf(client.models.list({ timeoutMs: 60_000 }));
      expect(error).toMatchObject({ reason: "UNAVAILABLE", code: 14, requestId: undefined });
      opened.push(
        await openPretendWeir(
          { models: { listModels: () => ({ models: [] }) } },
          { port: weir.port },
        ),
      );
      await eventually(async () => expect(await client.models.list()).toEqual([]));
    });

    it("lists the models of all pages", async () => {
      const { client } = await openScene({
        models: {
          listModels: ({ pageToken }) =>
            pageToken === ""
              ? { models: [{ name: "a" }], nextPageToken: "2" }
              : { models: [{ name: "b" }] },
        },
      });
      expect((await client.models.list()).map((model) => model.name)).toEqual(["a", "b"]);
    });

    it("reads vectors in either form, by their index", async () => {
      const { client } = await openScene({
        embed: {
          embed: ({ encoding }) => ({
            embeddings: [
              { index: 1, values: [3, 4] },
              { index: 0, littleEndian: new Uint8Array(Float32Array.of(1, 2).buffer) },
            ],
            upstream: encoding === VectorEncoding.LITTLE_ENDIAN,
          }),
        },
      });
      const vectors = await client.embedTexts("sim/embed", ["a", "b"]);
      expect(vectors.map((vector) => [...vector])).toEqual([
        [1, 2],
        [3, 4],
      ]);
    });

    it("says when a vector is missing", async () => {
      const { client } = await openScene({ embed: { embed: () => ({ embeddings: [] }) } });
      expect((await failureOf(client.embedTexts("sim/embed", ["a"]))).message).toContain("input 0");
    });

    it("passes an answer of many megabytes", async () => {
      const { client } = await openScene({
        chat: { createChat: () => ({ vendorFields: "x".repeat(10_000_000) }) },
      });
      expect((await client.chat.create(chat)).vendorFields).toHaveLength(10_000_000);
    });

    it("asks for the key at each call", async () => {
      const keys = ["wk_b", "wk_a"];
      const seen: Array<string | null> = [];
      const { client } = await openScene(
        {
          models: {
            listModels: (_, { requestHeader }) => {
              seen.push(requestHeader.get("authorization"));
              return {};
            },
          },
        },
        { key: () => keys.pop() ?? "" },
      );
      await client.models.list();
      await client.models.list();
      expect(seen).toEqual(["Bearer wk_a", "Bearer wk_b"]);
    });
  });
}

for (const transport of ["grpc", "connect"] as const) {
  describe(`createWeirClient(), ${transport} over TLS`, () => {
    const call = async (name: string, ca?: string, host = "127.0.0.1"): Promise<unknown> => {
      const weir = await openPretendWeir(
        { models: { listModels: () => ({}) } },
        { tls: certificate, host },
      );
      const client = createWeirClient({
        address: `https://${name}:${weir.port}`,
        key: "wk_test",
        transport,
        retry: false,
        tls: ca === undefined ? {} : { ca },
      });
      opened.push(weir, client);
      return await client.models.list({ timeoutMs: 60_000 });
    };

    for (const name of ["127.0.0.1", "localhost"]) {
      it(`trusts the authority that is given, at ${name}`, async () => {
        expect(await call(name, certificate.cert)).toEqual([]);
      });
    }

    it("trusts nobody else", async () => {
      expect((await failureOf(call("127.0.0.1"))).message).toContain("self-signed");
    });

    it.runIf(process.platform === "linux")(
      "refuses a certificate for another address",
      async () => {
        const { message } = await failureOf(call("127.0.0.2", certificate.cert, "127.0.0.2"));
        expect(message).toContain("127.0.0.2");
      },
    );
  });
}

describe("createWeirClient(), wrong options", () => {
  const wrong: Array<[string, Partial<WeirClientOptions>]> = [
    ["address", { address: "127.0.0.1:8080" }],
    ["address", { address: "ftp://weir" }],
    ["key", { key: "" }],
    ["key", { key: "wk_a b" }],
    ["key", { key: "wk_a\n" }],
    ["defaultTimeoutMs", { defaultTimeoutMs: 0 }],
    ["defaultTimeoutMs", { defaultTimeoutMs: Number.NaN }],
    ["keepalive.intervalMs", { keepalive: { intervalMs: -1 } }],
    ["retry.budgetRatio", { retry: { budgetRatio: -0.1 } }],
  ];
  for (const [name, options] of wrong) {
    it(`refuses ${JSON.stringify(options)}`, () => {
      expect(() => createWeirClient({ key: "wk_test", ...options })).toThrow(name);
    });
  }
});

async function* stream(...texts: string[]) {
  yield { event: { case: "started" as const, value: create(ChatStartedSchema) } };
  for (const text of texts) yield { event: { case: "textDelta" as const, value: { text } } };
  yield { event: { case: "finished" as const, value: create(ChatFinishedSchema) } };
}

async function drain(events: AsyncIterable<ChatEvent>): Promise<void> {
  for await (const _ of events);
}

async function failureOf(promise: Promise<unknown>): Promise<WeirError> {
  try {
    await promise;
  } catch (thrown) {
    if (thrown instanceof WeirError) return thrown;
    throw thrown;
  }
  throw new Error("nothing failed");
}
