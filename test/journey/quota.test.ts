import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import OpenAI, { RateLimitError } from "openai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  ErrorInfoSchema,
  QuotaFailureSchema,
  RetryInfoSchema,
} from "../../gen/google/rpc/error_details_pb.ts";
import type { TargetSchema } from "../../gen/weir/admin/v1/model_pb.ts";
import {
  Dimension,
  Per_Scope,
  type PolicySchema,
  Window_Calendar,
} from "../../gen/weir/admin/v1/policy_pb.ts";
import { Role } from "../../gen/weir/v1/chat_pb.ts";
import { ChatService } from "../../gen/weir/v1/chat_service_pb.ts";
import { eventually } from "../support/eventually.ts";
import { until } from "../support/own-process.ts";
import { parseMetrics, type Series, sumOf } from "../support/parse-metrics.ts";
import { type Answer, type Body, chat } from "../support/rest-calls.ts";
import { ADMIN_KEY, endAll, KEY, startWeir, type WeirProcess } from "../support/weir-process.ts";

const TIMEOUT_MS = 120_000;
const WORKERS = 2;

let weir: WeirProcess;

beforeAll(async () => {
  weir = await startWeir({ workers: WORKERS });
}, TIMEOUT_MS);
afterAll(endAll);

type Rule = NonNullable<MessageInitShape<typeof PolicySchema>["rule"]>;

type TargetFields = MessageInitShape<typeof TargetSchema>;

/** Makes a model, and a policy about that model alone; gives the name to ask for. */
async function limit(name: string, rule: Rule, fields: TargetFields = {}): Promise<string> {
  const model = `models/limited-${name}`;
  const target = { provider: "providers/sim", upstreamModel: "echo", ...fields };
  await weir.admin.createModel({ model: { name: model, targets: [target] } });
  const match = { models: { include: [`limited-${name}`] } };
  await weir.admin.createPolicy({ policy: { name: `policies/${name}`, match, rule } });
  return `limited-${name}`;
}

const month = { window: { case: "calendar" as const, value: Window_Calendar.MONTH } };

/** What the simulated engine charges is 0 unless a target says otherwise: $1 a thousand tokens, in and out. */
const price = {
  inputNanoUsdPerMillion: 1_000_000_000_000n,
  outputNanoUsdPerMillion: 1_000_000_000_000n,
};

async function ask(model: string, times: number, fields = {}): Promise<Answer[]> {
  return Promise.all(Array.from({ length: times }, () => askOnce(model, fields)));
}

/**
 * As clients do, again after a 503: on a busy machine the ledger may answer too late to prove that
 * anything is left.
 */
function askOnce(model: string, fields = {}): Promise<Answer> {
  return until("a limit is proven to have something or nothing", TIMEOUT_MS, async () => {
    const answer = await chat(weir, { model, ...fields });
    return answer.status === 503 ? undefined : answer;
  });
}

function count(answers: readonly Answer[], status: number): number {
  return answers.filter((each) => each.status === status).length;
}

/** What of a policy's buckets is settled in the ledger. */
async function readStatus(policy: string) {
  const { buckets } = await weir.admin.getQuotaStatus({ name: `policies/${policy}` });
  return buckets;
}

describe("limits of real processes", () => {
  it(
    "let through as many requests as there are, over all workers, and not one more",
    async () => {
      const rule = {
        case: "budget" as const,
        value: { dimension: Dimension.REQUESTS, limit: 10n, window: month },
      };
      const model = await limit("ten", rule);
      const answers = await ask(model, 60);
      expect(count(answers, 200)).toBe(10);
      expect(count(answers, 429)).toBe(50);
      const refused = answers.find(({ status }) => status === 429);
      expect(refused?.json.error).toMatchObject({
        type: "insufficient_quota",
        code: expect.any(String),
        metadata: { policy: "policies/ten", dimension: "requests", limit: "10", remaining: "0" },
      });
      expect(Number(refused?.headers["retry-after"])).toBeGreaterThan(0);
      await eventually(async () => {
        const [bucket] = await readStatus("ten");
        expect(bucket).toMatchObject({ ceiling: 10n, spent: 10n });
      });
    },
    TIMEOUT_MS,
  );

  it(
    "never spend more money than there is, and tell foreign clients who must do what",
    async () => {
      const rule = {
        case: "budget" as const,
        value: {
          dimension: Dimension.NANO_USD,
          limit: 1_000_000_000n,
          window: month,
          per: { scope: Per_Scope.EACH_TEAM },
        },
      };
      const model = await limit("dollar", rule, { price });
      const answers = await ask(model, 80, { max_tokens: 20 });
      expect(count(answers, 200) + count(answers, 429)).toBe(80);
      expect(count(answers, 200)).toBeGreaterThan(0);
      await eventually(async () => {
        const [bucket] = await readStatus("dollar");
        expect(bucket?.spent).toBeGreaterThan(0n);
        expect(bucket?.spent).toBeLessThanOrEqual(1_000_000_000n);
      });

      // Far above what is left, whatever that is: prompts of a byte each cost a token at most.
      const body = { model, max_tokens: 5_000, messages: [] };
      const openai = new OpenAI({ apiKey: KEY, baseURL: `${weir.url}/v1`, maxRetries: 20 });
      const refusal = await openai.chat.completions
        .create({ ...body, messages: [{ role: "user", content: "hi" }] })
        .catch((error: unknown) => error);
      expect(refusal).toBeInstanceOf(RateLimitError);
      expect(refusal).toMatchObject({ status: 429, type: "insufficient_quota" });

      const grpc = createClient(ChatService, createGrpcTransport({ baseUrl: weir.url }));
      const part = { part: { case: "text" as const, value: { text: "hi" } } };
      const messages = [{ role: Role.USER, parts: [part] }];
      const question = { chat: { model, sampling: { maxTokens: 5_000 }, messages } };
      const error = await until("the ledger has said no", TIMEOUT_MS, async () => {
        const asked = grpc.createChat(question, { headers: { authorization: `Bearer ${KEY}` } });
        const refused = ConnectError.from(await asked.catch((thrown: unknown) => thrown));
        return refused.code === Code.Unavailable ? undefined : refused;
      });
      expect(error.code).toBe(Code.ResourceExhausted);
      expect(error.findDetails(ErrorInfoSchema)[0]).toMatchObject({
        reason: "BUDGET_EXHAUSTED",
        metadata: { policy: "policies/dollar", scope: "teams/first", dimension: "nano_usd" },
      });
      expect(error.findDetails(QuotaFailureSchema)[0]?.violations[0]?.subject).toBe("teams/first");
      expect(error.findDetails(RetryInfoSchema)).toHaveLength(1);
    },
    TIMEOUT_MS,
  );

  it(
    "lower a request's output to what is left where the policy says so",
    async () => {
      const rule = {
        case: "budget" as const,
        value: { dimension: Dimension.OUTPUT_TOKENS, limit: 40n, window: month, clamp: true },
      };
      const model = await limit("clamped", rule);
      const [first] = await ask(model, 1, { max_tokens: 1_000_000 });
      expect(first?.status).toBe(200);
      expect(first?.headers["x-weir-quota-clamped"]).toBe("policies/clamped");
    },
    TIMEOUT_MS,
  );

  it(
    "let a cheaper model answer where the policy names one, and say so",
    async () => {
      const rule = {
        case: "budget" as const,
        value: {
          dimension: Dimension.REQUESTS,
          limit: 1n,
          window: month,
          onExhausted: { downgradeTo: "sim/text" },
        },
      };
      const model = await limit("downgraded", rule);
      const [first] = await ask(model, 1);
      expect(first?.json.model).not.toBe("sim/text");
      const [second] = await ask(model, 1);
      expect(second?.status).toBe(200);
      expect(second?.headers["x-weir-target"]).toBe("sim/text");
      expect(second?.headers["x-weir-downgraded-by"]).toBe("policies/downgraded");
      const { record } = await until("the record", TIMEOUT_MS, () =>
        weir.usage.getRequest({ requestId: second?.requestId ?? "" }).catch(() => undefined),
      );
      expect(record).toMatchObject({ modelAsked: model, downgradedBy: "policies/downgraded" });
    },
    TIMEOUT_MS,
  );

  it(
    "tell a key what is left of its limits",
    async () => {
      const value = { dimension: Dimension.REQUESTS, limit: 7n, window: month };
      const model = await limit("told", { case: "budget", value });
      await ask(model, 2);
      const told = await until("both are counted", TIMEOUT_MS, async () => {
        const headers = { authorization: `Bearer ${KEY}` };
        const answer = await fetch(`${weir.url}/v1/key`, { headers });
        const { data }: Body = JSON.parse(await answer.text());
        const found = data.limits.find((each: Body) => each.policy === "policies/told");
        return found?.remaining === 5 ? found : undefined;
      });
      expect(told).toMatchObject({ kind: "budget", limit: 7, models: { include: [model] } });
      expect(Date.parse(told.resets_at)).toBeGreaterThan(0);
    },
    TIMEOUT_MS,
  );

  it(
    "hold a rate over all workers, and tell the caller of it on success too",
    async () => {
      const rule = {
        case: "rateLimit" as const,
        value: { dimension: Dimension.REQUESTS, limit: 20n, period: { seconds: 3_600n } },
      };
      const model = await limit("rate", rule);
      const answers = await ask(model, 60);
      // One comes back each three minutes: as many as this test may take.
      expect(count(answers, 200)).toBeGreaterThanOrEqual(20);
      expect(count(answers, 200)).toBeLessThanOrEqual(21);
      const [good] = answers.filter(({ status }) => status === 200);
      expect(good?.headers["x-ratelimit-limit-requests"]).toBe("20");
      expect(Number(good?.headers["x-ratelimit-remaining-requests"])).toBeLessThan(20);
      const [bad] = answers.filter(({ status }) => status === 429);
      expect(bad?.json.error.type).toBe("rate_limit_error");
      expect(Number(bad?.headers["retry-after"])).toBeGreaterThan(0);
    },
    TIMEOUT_MS,
  );

  it(
    "are counted where Prometheus finds it, by each worker for itself",
    async () => {
      const scrape = (key: string) => {
        const headers = { authorization: `Bearer ${key}`, connection: "close" };
        return fetch(`${weir.url}/metrics`, { headers });
      };
      expect((await scrape(KEY)).status).toBe(403);
      expect((await scrape("wk_unknown")).status).toBe(401);
      const pages = new Map<string, Series[]>();
      await until("both workers have answered", TIMEOUT_MS, async () => {
        const page = parseMetrics(await (await scrape(ADMIN_KEY)).text());
        pages.set(page[0]?.labels.proxy ?? "", page);
        return pages.size === WORKERS;
      });
      const all = [...pages.values()].flat();
      const sum = (...of: [name: string, labels?: Record<string, string>]) => sumOf(all, ...of);
      expect(sum("weir_requests_total", { reason: "OK", door: "openai" })).toBeGreaterThan(0);
      expect(sum("weir_requests_total", { reason: "BUDGET_EXHAUSTED" })).toBeGreaterThan(0);
      expect(sum("weir_requests_refused_total", { reason: "CREDENTIAL_UNKNOWN" })).toBe(1);
      // The model that answered instead has no limit of its own.
      const attempts = sum("weir_upstream_attempts_total", { provider: "sim", outcome: "OK" });
      expect(attempts).toBeGreaterThan(sum("weir_quota_settled_total"));
      expect(sum("weir_quota_settled_total")).toBeGreaterThan(0);
      expect(sum("weir_quota_denied_total", { reason: "BUDGET_EXHAUSTED" })).toBeGreaterThan(0);
      expect(sum("weir_breaker_open", { provider: "sim", model: "echo" })).toBe(0);
      expect(sum("weir_quota_invariant_violations")).toBe(0);
      expect(sum("weir_quota_overrun_total")).toBe(0);
      for (const page of pages.values()) {
        expect(sumOf(page, "process_resident_memory_bytes")).toBeGreaterThan(1_000_000);
      }
    },
    TIMEOUT_MS,
  );

  it(
    "hold how many requests are under way, and give the places back",
    async () => {
      const rule = { case: "concurrency" as const, value: { limit: 3n } };
      const model = await limit("slots", rule, { upstreamModel: "echo?ttft_ms=5000" });
      const answers = await ask(model, 20);
      expect(count(answers, 200)).toBeGreaterThanOrEqual(3);
      expect(count(answers, 429)).toBeGreaterThan(0);
      await until("a place is free again", TIMEOUT_MS, async () => {
        const [answer] = await ask(model, 1);
        return answer?.status === 200;
      });
    },
    TIMEOUT_MS,
  );

  it(
    "hold when a worker is killed in the middle, and forfeit little",
    async () => {
      const rule = {
        case: "budget" as const,
        value: { dimension: Dimension.REQUESTS, limit: 200n, window: month },
      };
      const model = await limit("killed", rule);
      const answers = await ask(model, 40);
      weir.kill(weir.proxy(0));
      let good = count(answers, 200);
      await weir.ready(WORKERS);
      for (let refused = 0; refused < 5; ) {
        const some = await Promise.all(
          Array.from({ length: 20 }, () => askOnce(model).catch(() => undefined)),
        );
        const ok = some.filter((each) => each?.status === 200).length;
        good += ok;
        refused = ok === 0 ? refused + 1 : 0;
      }
      expect(good).toBeLessThanOrEqual(200);
      expect(good).toBeGreaterThanOrEqual(150);
    },
    TIMEOUT_MS,
  );
});
