import Anthropic from "@anthropic-ai/sdk";
import { credentials, loadPackageDefinition, Metadata, type ServiceError } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import OpenAI from "openai";
import { request } from "undici";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Dimension, Per_Scope } from "../../gen/weir/admin/v1/policy_pb.ts";
import { eventually } from "../support/eventually.ts";
import { between, budget, COUNTED, LimitedWeir, messages } from "../support/limited-weir.ts";
import type { ScriptedUpstream } from "../support/scripted-upstream.ts";
import { KEY, type WeirProcess } from "../support/weir-process.ts";

const TIMEOUT_MS = 120_000;
let house: LimitedWeir;
let weir: WeirProcess;
let upstream: ScriptedUpstream;
let openai: OpenAI;
let anthropic: Anthropic;
let grpc: LooseClient;

beforeAll(async () => {
  house = await LimitedWeir.start();
  ({ weir, upstream } = house);
  const more = { apiKey: KEY, maxRetries: 0, timeout: TIMEOUT_MS };
  openai = new OpenAI({ ...more, baseURL: `${weir.url}/v1` });
  anthropic = new Anthropic({ ...more, baseURL: weir.url });
  grpc = connectGrpc();
}, TIMEOUT_MS);
afterAll(async () => {
  grpc?.close();
  await house?.close();
});

interface LooseClient {
  close(): void;
  readonly CreateChat: (
    message: object,
    metadata: Metadata,
    options: { deadline: number },
    done: (error: ServiceError | null, answer: object) => void,
  ) => void;
}

/** A client as one of another language would be, from the .proto files alone. */
function connectGrpc(): LooseClient {
  const includeDirs = ["proto", "proto/vendor"];
  const options = { includeDirs, keepCase: true, enums: String, longs: String };
  let at: unknown = loadPackageDefinition(loadSync("weir/v1/chat_service.proto", options));
  for (const name of ["weir", "v1", "ChatService"]) at = Reflect.get(Object(at), name);
  const Made = at as new (address: string, credential: unknown) => LooseClient;
  return new Made(`127.0.0.1:${weir.port}`, credentials.createInsecure());
}

function askGrpc(model: string): Promise<object> {
  const metadata = new Metadata();
  metadata.set("authorization", `Bearer ${KEY}`);
  const words = [{ role: "ROLE_USER", parts: [{ text: { text: "hi" } }] }];
  const deadline = Date.now() + TIMEOUT_MS;
  return new Promise((resolve, reject) => {
    grpc.CreateChat(
      { chat: { model, messages: words } },
      metadata,
      { deadline },
      (error, answer) => (error === null ? resolve(answer) : reject(error)),
    );
  });
}

describe("two hundred at once, on a budget for ten", () => {
  it(
    "are at most ten for three foreign clients together, who are told when to come back",
    async () => {
      const name = await house.model("crowd");
      await house.limit("crowd", name, budget(Dimension.REQUESTS, 10n));
      const asks = [
        ...Array.from({ length: 70 }, () =>
          openai.chat.completions.create({ model: name, messages }),
        ),
        ...Array.from({ length: 65 }, () =>
          anthropic.messages.create({ model: name, messages, max_tokens: 9 }),
        ),
        ...Array.from({ length: 65 }, () => askGrpc(name)),
      ];
      const outcomes = await Promise.allSettled<object>(asks);
      let good = outcomes.filter(({ status }) => status === "fulfilled").length;
      expect(good).toBeLessThanOrEqual(10);
      for (const outcome of outcomes) if (outcome.status === "rejected") toldToWait(outcome.reason);
      // On a busy machine some may not have had an answer of the ledger in time.
      for (;;) {
        const { status, json } = await house.ask(name);
        if (status === 429) {
          expect(json.error.metadata).toMatchObject({ policy: "policies/crowd", remaining: "0" });
          break;
        }
        if (status === 200) good += 1;
      }
      expect(good).toBe(10);
      expect(upstream.of(`${COUNTED}/crowd-0`)).toHaveLength(10);
      await house.settled("crowd", 10n);
    },
    TIMEOUT_MS,
  );

  function toldToWait(error: unknown): void {
    if (error instanceof OpenAI.APIError || error instanceof Anthropic.APIError) {
      expect([429, 503]).toContain(error.status);
      expect(Number(error.headers?.get("retry-after"))).toBeGreaterThan(0);
      return;
    }
    const { code, metadata } = error as ServiceError;
    expect([8, 14]).toContain(code);
    const [details] = metadata.get("grpc-status-details-bin");
    expect(String(details)).toContain("google.rpc.RetryInfo");
  }
});

describe.concurrent("a caller who leaves", () => {
  /** What it may take: a token for each byte and some more, and its limit of output. */
  const MOST = 1_600n;
  const places: ReadonlyArray<readonly [string, (spent: bigint) => void]> = [
    ["headers", between(1n, MOST - 1_000n)],
    ["first", between(1n, MOST - 900n)],
    ["middle", between(2n, MOST - 900n)],
    ["last", between(4n, MOST - 800n)],
    ["usage", between(12n, 12n)],
  ];
  for (const [place, expected] of places) {
    it(
      `pays for what came up to ${place} and no more, and the upstream hears of it`,
      async () => {
        const name = await house.model(`leave-${place}`, [`hold:${place}`]);
        await house.limit(name, name, budget(Dimension.TOKENS, 100_000n));
        const script = `hold:${place}/${name}-0`;
        const leaving = new AbortController();
        const [asked] = await Promise.allSettled([leave(name, place, leaving, script)]);
        expect(asked.status).toBe("fulfilled");
        await eventually(() => expect(upstream.of(script)[0]?.aborted).toBe(true));
        await house.settled(name, expected);
      },
      TIMEOUT_MS,
    );
  }

  /** Leaves as soon as it has seen what comes at the place. */
  async function leave(name: string, place: string, leaving: AbortController, script: string) {
    const stream = request(`${weir.url}/v1/chat/completions`, {
      method: "POST",
      headers: { authorization: `Bearer ${KEY}`, "content-type": "application/json" },
      body: JSON.stringify({
        ...{ model: name, messages, max_tokens: 1_000, stream: true },
        stream_options: { include_usage: true },
      }),
      signal: leaving.signal,
    });
    const marks: Readonly<Record<string, string>> = {
      middle: "two ",
      last: '"stop"',
      usage: '"completion_tokens":2',
    };
    const mark = marks[place];
    const reading = stream.then(async ({ body }) => {
      let text = "";
      for await (const piece of body) {
        text += String(piece);
        if (mark !== undefined && text.includes(mark)) leaving.abort();
      }
    });
    if (mark === undefined) {
      await eventually(() => expect(upstream.of(script)).toHaveLength(1));
      leaving.abort();
    }
    await reading.catch(() => undefined);
  }
});

describe.concurrent("an upstream that fails", () => {
  const chains: ReadonlyArray<readonly [string, readonly string[], number, (n: bigint) => void]> = [
    ["refusals", ["status:429", "status:500", COUNTED], 200, between(15n, 15n)],
    ["resets", ["reset", COUNTED], 200, between(16n, 1_600n + 15n)],
    ["nothing-else", ["status:500", "status:429"], 429, between(0n, 0n)],
  ];
  for (const [what, scripts, status, spent] of chains) {
    it(
      `costs nothing that cannot have been billed: ${what}`,
      async () => {
        const name = await house.model(`fails-${what}`, scripts);
        await house.limit(name, name, budget(Dimension.TOKENS, 100_000n));
        await house.limit(`${name}-requests`, name, budget(Dimension.REQUESTS, 100n));
        const answer = await house.ask(name, { max_tokens: 1_000 });
        expect(answer.status).toBe(status);
        expect(answer.headers["x-weir-attempts"]).toBe(String(scripts.length));
        await house.settled(name, spent);
        await house.settled(`${name}-requests`, status === 200 ? 1n : 0n);
      },
      TIMEOUT_MS,
    );
  }
});

describe.concurrent("what the vendor counts", () => {
  const counts: ReadonlyArray<readonly [string, (spent: bigint) => void]> = [
    ["usage:12:0", between(12n, 12n)],
    ["usage:9000000:9000000", between(18_000_000n, 18_000_000n)],
    ["usage:-5:-5", between(1n, 1_600n)],
    ["mute", between(1n, 1_600n)],
  ];
  for (const [script, spent] of counts) {
    for (const stream of [false, true]) {
      const title = `${script}${stream ? " in a stream" : ""}`;
      it(
        `is what counts, if it is a count: ${title}`,
        async () => {
          const name = await house.model(
            `counts-${counts.findIndex(([s]) => s === script)}-${stream}`,
            [script],
          );
          await house.limit(name, name, budget(Dimension.TOKENS, 100_000n));
          expect((await house.ask(name, { max_tokens: 1_000, stream })).status).toBe(200);
          const { overhang } = await house.settled(name, spent);
          if (overhang === 0n) return;
          const next = await house.ask(name, { max_tokens: 1 });
          expect(next.status).toBe(429);
          expect(next.json.error.metadata.remaining).toBe("0");
        },
        TIMEOUT_MS,
      );
    }
  }
});

describe.concurrent("a refusal", () => {
  it(
    "takes nothing of any limit that would have let it pass",
    async () => {
      const name = await house.model("refused");
      await house.limit("refused-many", name, budget(Dimension.REQUESTS, 100n));
      await house.limit("refused-money", name, budget(Dimension.NANO_USD, 1_000_000_000n));
      await house.limit("refused-rate", name, {
        case: "rateLimit",
        value: { dimension: Dimension.REQUESTS, limit: 20n, period: { seconds: 86_400n } },
      });
      await house.limit("refused-none", name, budget(Dimension.TOKENS, 1n));
      expect(await house.statuses(name, 5)).toEqual([429, 429, 429, 429, 429]);
      await weir.admin.deletePolicy({ name: "policies/refused-none" });
      const answer = await house.ask(name);
      expect(answer.status).toBe(200);
      expect(answer.headers["x-ratelimit-remaining-requests"]).toBe("19");
      await house.settled("refused-many", 1n);
      await house.settled("refused-money", 15_000n);
    },
    TIMEOUT_MS,
  );

  it(
    "for want of a place does not count against the rate",
    async () => {
      const name = await house.model("places", ["hold:first"]);
      await house.limit("places", name, { case: "concurrency", value: { limit: 1n } });
      await house.limit("places-rate", name, {
        case: "rateLimit",
        value: { dimension: Dimension.REQUESTS, limit: 20n, period: { seconds: 86_400n } },
      });
      const leaving = new AbortController();
      const first = openai.chat.completions
        .create({ model: name, messages, stream: true }, { signal: leaving.signal })
        .catch(() => undefined);
      await eventually(() => expect(upstream.of("hold:first/places-0")).toHaveLength(1));
      for (let i = 0; i < 5; i++) {
        const refused = await house.ask(name);
        expect(refused.status).toBe(429);
        expect(refused.json.error.metadata.policy).toBe("policies/places");
        expect(Number(refused.headers["retry-after"])).toBeGreaterThan(0);
      }
      leaving.abort();
      await first;
      const targets = [{ provider: "providers/one", upstreamModel: COUNTED }];
      await weir.admin.updateModel({
        model: { name: "models/places", targets },
        updateMask: { paths: ["targets"] },
      });
      await eventually(async () => {
        const answer = await house.ask(name);
        expect(answer.status).toBe(200);
        expect(answer.headers["x-ratelimit-remaining-requests"]).toBe("18");
      });
    },
    TIMEOUT_MS,
  );
});

describe.concurrent("what a caller may say of the answer's length", () => {
  const said: ReadonlyArray<readonly [object, number]> = [
    [{}, 50],
    [{ max_tokens: 20 }, 20],
    [{ max_tokens: 1_000_000_000 }, 50],
    [{ max_tokens: 0 }, 50],
    [{ max_tokens: -1 }, 50],
    [{ max_completion_tokens: 20, max_tokens: 1_000_000_000 }, 50],
  ];
  it("never asks more of the upstream than was taken", { timeout: TIMEOUT_MS }, async () => {
    const name = await house.model("length", undefined, { outputTokensMax: 50 });
    await house.limit(name, name, budget(Dimension.OUTPUT_TOKENS, 1_000n));
    for (const [fields, most] of said) {
      const before = upstream.of(`${COUNTED}/length-0`).length;
      const { status } = await house.ask(name, fields);
      const sent = upstream.of(`${COUNTED}/length-0`).slice(before);
      if (status === 400) expect(sent).toEqual([]);
      else expect(Number(sent[0]?.body.max_tokens ?? 0)).toBe(most);
    }
    // A hundred answers of 50 tokens are more than there is, whatever they would come to.
    expect((await house.ask(name, { n: 100 })).status).toBe(429);
    expect((await house.ask(name, { best_of: "100" })).status).toBe(429);
    expect((await house.ask(name, { n: "100" })).status).toBe(400);
  });
});

describe.concurrent("whose pot it is", () => {
  const LABELS = ["a|b", "policies/x|slots|", "two\nlines", "Grüße", "a=b", " ", "x".repeat(255)];
  it("is never another's by any label", { timeout: TIMEOUT_MS }, async () => {
    const name = await house.model("labels");
    const per = { scope: Per_Scope.EACH_LABEL, label: "case" };
    await house.limit(name, name, budget(Dimension.REQUESTS, 1n, { per }));
    for (const value of LABELS) {
      expect(await house.statuses(name, 2, { metadata: { case: value } })).toEqual([200, 429]);
    }
    // Without the label, and with one that is too long to be one, they share a pot.
    expect(await house.statuses(name, 1)).toEqual([200]);
    expect(await house.statuses(name, 1, { metadata: { case: "x".repeat(256) } })).toEqual([429]);
    for (const value of [...LABELS, ""]) await house.settled(name, 1n, `case=${value}`);
  });

  it("counts a person's and the team's at once", { timeout: TIMEOUT_MS }, async () => {
    const name = await house.model("people");
    await weir.admin.createUser({ user: { name: "users/ann" } });
    const given = { name: "teams/first/keys/ann", user: "users/ann" };
    const { secret } = await weir.admin.createKey({ key: given });
    const each = (scope: Per_Scope) => ({ per: { scope } });
    const person = budget(Dimension.REQUESTS, 2n, each(Per_Scope.EACH_USER));
    await house.limit("people", name, person);
    await house.limit("teams/first/policies/people", name, budget(Dimension.REQUESTS, 3n));
    expect(await house.statuses(name, 3, {}, secret)).toEqual([200, 200, 429]);
    expect(await house.statuses(name, 2)).toEqual([200, 429]);
    const refused = await house.ask(name, {}, secret);
    expect(refused.json.error.metadata.policy).toMatch(/policies\/people$/);
    await house.settled("people", 2n, "users/ann");
    await house.settled("people", 1n, "(none)");
    await house.settled("teams/first/policies/people", 3n);
  });
});

describe.concurrent("where a limit applies", () => {
  it("is one provider alone", { timeout: TIMEOUT_MS }, async () => {
    const name = await house.model("providers", [`two/${COUNTED}`, COUNTED]);
    const match = { providers: { include: ["providers/two"] } };
    await house.limit(name, name, budget(Dimension.REQUESTS, 1n), match);
    expect(await house.statuses(name, 3)).toEqual([200, 200, 200]);
    expect(upstream.of(`${COUNTED}/providers-0`)).toHaveLength(1);
    expect(upstream.of(`${COUNTED}/providers-1`)).toHaveLength(2);
    await house.settled(name, 1n);
  });

  it("is no target without a price, where money counts", { timeout: TIMEOUT_MS }, async () => {
    const name = await house.model("priceless", [`priceless/${COUNTED}`]);
    await house.limit(name, name, budget(Dimension.NANO_USD, 1_000_000_000n));
    await house.limit(`${name}-requests`, name, budget(Dimension.REQUESTS, 9n));
    const { status, json } = await house.ask(name);
    expect([status, json.error.code]).toEqual([400, "price_unknown"]);
    expect(upstream.of(`${COUNTED}/priceless-0`)).toEqual([]);
  });

  it("follows aliases, and models that point at each other", { timeout: TIMEOUT_MS }, async () => {
    const to = (downgradeTo: string) => ({ onExhausted: { downgradeTo } });
    await house.model("ring-a");
    await house.model("ring-b");
    await weir.admin.createModel({ model: { name: "models/ring", aliasOf: "ring-a" } });
    await house.limit("ring-a", "ring-a", budget(Dimension.REQUESTS, 1n, to("ring-b")));
    await house.limit("ring-b", "ring-b", budget(Dimension.REQUESTS, 1n, to("ring")));
    expect(await house.statuses("ring", 3)).toEqual([200, 200, 429]);
    expect(upstream.of(`${COUNTED}/ring-b-0`)).toHaveLength(1);
  });

  it("leads to no model that the key may not use", { timeout: TIMEOUT_MS }, async () => {
    const name = await house.model("secretive");
    await house.model("forbidden");
    const rule = { case: "access" as const, value: { denyModels: ["forbidden"] } };
    await weir.admin.createPolicy({ policy: { name: "policies/forbid", rule } });
    const onExhausted = { downgradeTo: "forbidden" };
    await house.limit(name, name, budget(Dimension.REQUESTS, 0n, { onExhausted }));
    expect(await house.statuses(name, 1)).toEqual([429]);
    expect(upstream.of(`${COUNTED}/forbidden-0`)).toEqual([]);
  });
});
