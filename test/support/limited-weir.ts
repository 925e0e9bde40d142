import type { MessageInitShape } from "@bufbuild/protobuf";
import { expect } from "vitest";
import {
  type Dimension,
  type PolicySchema,
  Window_Calendar,
} from "../../gen/weir/admin/v1/policy_pb.ts";
import { eventually } from "./eventually.ts";
import { type Answer, chat } from "./rest-calls.ts";
import { ScriptedUpstream } from "./scripted-upstream.ts";
import { endAll, KEY, startWeir, type WeirProcess } from "./weir-process.ts";

/** What the scripted upstream counts where nothing else is asked of it. */
export const COUNTED = "usage:10:5";

export const messages = [{ role: "user" as const, content: "hi" }];

/** A thousand nano-USD for each token. */
const price = {
  inputNanoUsdPerMillion: 1_000_000_000n,
  outputNanoUsdPerMillion: 1_000_000_000n,
};

const TRIES_MAX = 20;

type Rule = NonNullable<MessageInitShape<typeof PolicySchema>["rule"]>;
/** Whom and what a policy concerns. */
interface Match {
  readonly keys?: { include: string[] };
  readonly providers?: { include: string[] };
  readonly models?: { include: string[] };
}
type Expected = bigint | ((spent: bigint) => void);

/** A budget of a month. */
export function budget(dimension: Dimension, limit: bigint, more: object = {}): Rule {
  const window = { window: { case: "calendar" as const, value: Window_Calendar.MONTH } };
  return { case: "budget", value: { dimension, limit, window, ...more } };
}

export function between(low: bigint, high: bigint) {
  return (spent: bigint): void => {
    expect(spent).toBeGreaterThanOrEqual(low);
    expect(spent).toBeLessThanOrEqual(high);
  };
}

/**
 * A Weir of one worker before a scripted upstream, which is the providers `one`, `two` and, without
 * prices, `priceless`.
 */
export class LimitedWeir {
  readonly weir: WeirProcess;
  readonly upstream: ScriptedUpstream;

  private constructor(weir: WeirProcess, upstream: ScriptedUpstream) {
    this.weir = weir;
    this.upstream = upstream;
  }

  static async start(): Promise<LimitedWeir> {
    const [weir, upstream] = await Promise.all([startWeir(), ScriptedUpstream.start()]);
    for (const name of ["one", "two", "priceless"]) {
      const prices: Record<string, typeof price> = name === "priceless" ? {} : { "*": price };
      const baseUrls = [upstream.baseUrl];
      await weir.admin.createProvider({
        provider: { name: `providers/${name}`, dialect: "openai", baseUrls, prices },
      });
    }
    return new LimitedWeir(weir, upstream);
  }

  async close(): Promise<void> {
    await Promise.all([endAll(), this.upstream.close()]);
  }

  /**
   * Makes a model of scripts, tried in this order. Those of other providers than `one` begin with
   * its name and a slash. What arrives names the model behind the script: `SCRIPT/MODEL-PLACE`.
   */
  async model(name: string, scripts: readonly string[] = [COUNTED], more: object = {}) {
    const targets = scripts.map((given, priority) => {
      const [provider, script] = given.includes("/") ? given.split("/") : ["one", given];
      const upstreamModel = `${script}/${name}-${priority}`;
      return { provider: `providers/${provider}`, upstreamModel, priority };
    });
    const model = { name: `models/${name}`, targets, retriesPerTarget: 0, ...more };
    await this.weir.admin.createModel({ model });
    return name;
  }

  /** Limits one model, unless `match` says more. */
  async limit(policy: string, on: string, rule: Rule, match: Match = {}): Promise<void> {
    const name = policy.includes("/") ? policy : `policies/${policy}`;
    const models = { include: [on] };
    await this.weir.admin.createPolicy({ policy: { name, match: { models, ...match }, rule } });
  }

  /** Waits until the ledger has booked so much, and nothing is under way any more. */
  async settled(policy: string, spent: Expected, subject = "") {
    const name = policy.includes("/") ? policy : `policies/${policy}`;
    return await eventually(async () => {
      const { buckets } = await this.weir.admin.getQuotaStatus({ name });
      const bucket = buckets.find((each) => each.subject === subject);
      if (bucket === undefined) throw new Error(`${policy} has no bucket ${subject}`);
      for (const { outstanding } of bucket.leases) expect(outstanding).toBe(0n);
      if (typeof spent === "function") spent(bucket.spent);
      else expect(bucket.spent).toBe(spent);
      return bucket;
    });
  }

  /**
   * Asks until the ledger has had the time to answer, which on a busy machine may be later than a
   * request waits. What is refused for that has taken nothing.
   */
  async ask(model: string, fields: object = {}, key = KEY): Promise<Answer> {
    for (let tries = 1; ; tries++) {
      const answer = await chat(this.weir, { model, messages, ...fields }, { key });
      const late = answer.status === 503 && answer.json?.error?.code === "quota_unavailable";
      if (!late || tries === TRIES_MAX) return answer;
    }
  }

  /** How requests are answered, one after the other. */
  async statuses(model: string, times: number, fields: object = {}, key = KEY) {
    const found: number[] = [];
    for (let i = 0; i < times; i++) found.push((await this.ask(model, fields, key)).status);
    return found;
  }
}
