import { setTimeout as delay } from "node:timers/promises";
import { Agent, request } from "undici";
import type { Random } from "../../src/mesh/random.ts";
import type { Order } from "./billing-upstream.ts";
import type { FleetProxy } from "./quota-fleet.ts";
import { KEY } from "./weir-process.ts";

/** What is asked in a phase. */
export interface LoadShape {
  /** How long answers take, in milliseconds. */
  readonly answerMs: readonly [number, number];
  /** Bytes of prompts. */
  readonly promptBytes: readonly [number, number];
  /** Tokens of answers. */
  readonly output: readonly [number, number];
  /** Of 100 requests, how many are well behaved; of the others something goes wrong. */
  readonly plain: number;
}

/** How long a client that was refused waits. */
const BACK_OFF_MS = [300, 1_500] as const;

/** A part of the load's time, and what came of the requests that began in it. */
export class Phase {
  readonly name: string;
  readonly shape: LoadShape;
  /** At proxies that were never killed. */
  readonly steady = new Tally();
  /** At the others. */
  readonly killed = new Tally();

  constructor(name: string, shape: LoadShape) {
    this.name = name;
    this.shape = shape;
  }
}

/** What came of the requests of a phase. */
export class Tally {
  /** Answered, whole. */
  served = 0;
  /** 429 that names a policy: the money is spent. */
  exhausted = 0;
  /** 503 that names a policy: nobody can prove that there is money. */
  unproven = 0;
  /** What was said then, and how often. */
  readonly words = new Map<string, number>();
  /** 503 because the proxy's disk held up for so long that it took it for full. */
  stalled = 0;
  /** The client left, as was planned. */
  left = 0;
  /** The upstream failed, as was ordered. */
  failed = 0;
  /** The proxy was killed under it, or was not there. */
  lost = 0;
  /** Everything else, by what it was. */
  readonly odd = new Map<string, number>();
  /** The longest that anybody waited beyond the time that the upstream took. */
  lateMsMax = 0;
  /** Requests at once, at most. */
  openMax = 0;

  get sent(): number {
    const odd = [...this.odd.values()].reduce((sum, each) => sum + each, 0);
    const { served, exhausted, unproven, stalled, left, failed, lost } = this;
    return served + exhausted + unproven + stalled + left + failed + lost + odd;
  }

  take(plan: Plan, { what: outcome, words }: Outcome, tookMs: number): void {
    const answered = outcome === "served" || outcome === "left";
    const plannedMs = answered ? Math.min(plan.leavesMs ?? plan.order.ms, plan.order.ms) : 0;
    if (outcome === "left") this.left += 1;
    else if (outcome === "served") this.served += 1;
    else if (outcome === "exhausted") this.exhausted += 1;
    else if (outcome === "stalled") this.stalled += 1;
    else if (outcome === "unproven") {
      this.unproven += 1;
      this.words.set(words, (this.words.get(words) ?? 0) + 1);
    } else if (plan.model === "failing") {
      this.failed += 1;
      return;
    } else this.odd.set(outcome, (this.odd.get(outcome) ?? 0) + 1);
    this.lateMsMax = Math.max(this.lateMsMax, tookMs - plannedMs);
  }
}

/** One request as it is planned. */
export interface Plan {
  readonly model: string;
  readonly order: Order;
  readonly promptBytes: number;
  readonly maxTokens: number;
  readonly stream: boolean;
  /** When the client leaves, from the beginning; undefined when it stays. */
  readonly leavesMs: number | undefined;
}

/** Clients who ask one thing after the other, all of one team, until they are told to stop. */
export class QuotaLoad {
  /** Where requests belong that begin now. */
  phase: Phase;
  readonly #proxies: readonly FleetProxy[];
  readonly #random: Random;
  readonly #agent = new Agent({ connections: null, bodyTimeout: 0, headersTimeout: 0 });
  #turn = 0;
  #open = 0;
  #stopped = false;
  #running: Promise<unknown> = Promise.resolve();

  constructor(proxies: readonly FleetProxy[], random: Random, phase: Phase) {
    this.#proxies = proxies;
    this.#random = random;
    this.phase = phase;
  }

  /** Keeps so many requests under way, until `stop()` or for `msMax`. */
  start(clients: number, msMax: number): void {
    const endMs = performance.now() + msMax;
    const client = async (): Promise<void> => {
      // Not all in one instant, as with people.
      await delay(this.#between([0, 1_000]));
      while (performance.now() < endMs && !this.#stopped) {
        const good = await this.one();
        if (!good) await delay(this.#between(BACK_OFF_MS));
      }
    };
    this.#running = Promise.all(Array.from({ length: clients }, client));
  }

  /** Begins nothing more, and waits for what is under way. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
  }

  /** One request of the phase, to whose turn it is. True when all was well. */
  async one(): Promise<boolean> {
    const proxy = this.#proxies[this.#turn % this.#proxies.length];
    this.#turn += 1;
    if (proxy === undefined) throw new Error("there is no proxy");
    const { phase } = this;
    const plan = this.#plan(phase.shape, proxy);
    const begunMs = performance.now();
    this.#open += 1;
    const openNow = this.#open;
    const outcome = await this.#ask(proxy, plan);
    this.#open -= 1;
    const tookMs = performance.now() - begunMs;
    const tally = proxy.kills > 0 ? phase.killed : phase.steady;
    tally.openMax = Math.max(tally.openMax, openNow);
    if (proxy.kills > 0 && outcome.what === "cut off") tally.lost += 1;
    else tally.take(plan, outcome, tookMs);
    return outcome.what === "served" || outcome.what === "left";
  }

  close(): Promise<void> {
    return this.#agent.destroy();
  }

  #plan(shape: LoadShape, proxy: FleetProxy): Plan {
    const ms = Math.round(this.#between(shape.answerMs));
    const dice = this.#random.unit() * 100;
    const output = Math.round(this.#between(shape.output));
    const density = this.#between([0.25, 1]);
    const promptBytes = Math.round(this.#between(shape.promptBytes));
    const stream = this.#random.unit() < 0.5;
    const order = { account: proxy.id, density, output, ms };
    // Some allow less than the upstream would say, some far more.
    const maxTokens = Math.max(1, Math.round(output * this.#between([0.5, 2])));
    const common = { promptBytes, maxTokens, stream, leavesMs: undefined };
    if (dice < shape.plain) {
      return { ...common, model: "telling", order: { ...order, manner: "tell" } };
    }
    const kind = Math.floor(this.#random.unit() * 5);
    if (kind === 0) return { ...common, model: "rough", order: { ...order, manner: "mute" } };
    if (kind === 1) {
      const leavesMs = ms * this.#random.unit();
      return { ...common, model: "rough", order: { ...order, manner: "tell" }, leavesMs };
    }
    const manner = (["refuse", "cut", "drop"] as const)[kind - 2] ?? "cut";
    return { ...common, model: "failing", order: { ...order, manner } };
  }

  async #ask(proxy: FleetProxy, plan: Plan): Promise<Outcome> {
    const leaving = new AbortController();
    const timer =
      plan.leavesMs === undefined
        ? undefined
        : setTimeout(() => leaving.abort(), Math.max(1, plan.leavesMs));
    const head = `${JSON.stringify(plan.order)}\n`;
    const prompt = head + "x".repeat(Math.max(0, plan.promptBytes - head.length));
    try {
      const answer = await request(`${proxy.url}/v1/chat/completions`, {
        method: "POST",
        dispatcher: this.#agent,
        signal: leaving.signal,
        headers: { authorization: `Bearer ${KEY}`, "content-type": "application/json" },
        body: JSON.stringify({
          model: plan.model,
          max_tokens: plan.maxTokens,
          stream: plan.stream,
          messages: [{ role: "user", content: prompt }],
        }),
      });
      const text = await answer.body.text();
      return judge(answer.statusCode, text, plan.stream);
    } catch {
      return { what: leaving.signal.aborted ? "left" : "cut off", words: "" };
    } finally {
      clearTimeout(timer);
    }
  }

  #between([from, to]: readonly [number, number]): number {
    return from + this.#random.unit() * (to - from);
  }
}

/** What came of a request, and what was said of it. */
interface Outcome {
  readonly what: string;
  readonly words: string;
}

function judge(status: number, text: string, stream: boolean): Outcome {
  if (status === 200) {
    return { what: !stream || text.includes("[DONE]") ? "served" : "broken off", words: "" };
  }
  const error = readError(text);
  const words = error?.message ?? text.slice(0, 200);
  if (error?.metadata?.policy !== undefined) {
    if (status === 429) return { what: "exhausted", words };
    if (status === 503) return { what: "unproven", words };
  }
  // A machine that has much else to do; nothing is spent meanwhile.
  if (error?.code === "quota_unavailable" && words.includes("disk")) {
    return { what: "stalled", words };
  }
  return { what: `${status} ${error?.code ?? error?.type}: ${words}`, words };
}

interface ToldError {
  readonly code?: string;
  readonly type?: string;
  readonly message?: string;
  readonly metadata?: Readonly<Record<string, string>>;
}

function readError(text: string): ToldError | undefined {
  try {
    return JSON.parse(text).error;
  } catch {
    return undefined;
  }
}
