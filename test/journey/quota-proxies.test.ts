import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { until } from "../support/own-process.ts";
import { noPostgres } from "../support/postgres-server.ts";
import { type QuotaFleet, requestBudget, startFleet } from "../support/quota-fleet.ts";
import { type Answer, chat } from "../support/rest-calls.ts";

const WAIT_MS = 90_000;
const PROXIES = 8;

describe.skipIf(noPostgres)(`many proxies${noPostgres ? ` (${noPostgres})` : ""}`, () => {
  let fleet: QuotaFleet;

  beforeAll(async () => {
    fleet = await startFleet(PROXIES);
    const target = { provider: "providers/sim", upstreamModel: "echo" };
    for (const [name, limit] of limits) {
      await fleet.admin.createModel({ model: { name: `models/${name}`, targets: [target] } });
      await fleet.limit(name, requestBudget(limit), name);
    }
    await fleet.settled();
  });
  afterAll(() => fleet?.end());

  const limits = [
    ["two", 37n],
    ["eight", 101n],
  ] as const;

  /** Asks over some proxies at once, until each of them says that nothing is left. */
  const spend = async (model: string, proxies: number): Promise<Answer[]> => {
    const answers: Answer[] = [];
    const left = new Set(fleet.proxies.slice(0, proxies));
    await until("all say that nothing is left", WAIT_MS, async () => {
      const asked = [...left].flatMap((proxy) =>
        Array.from({ length: 4 }, async () => {
          const answer = await chat(proxy, { model });
          answers.push(answer);
          return { proxy, answer };
        }),
      );
      const round = await Promise.all(asked);
      for (const proxy of [...left]) {
        const own = round.filter((each) => each.proxy === proxy);
        // 503 is no word on what is left.
        if (own.every(({ answer }) => answer.status === 429)) left.delete(proxy);
      }
      return left.size === 0;
    });
    return answers;
  };

  const count = (answers: readonly Answer[], status: number) =>
    answers.filter((each) => each.status === status).length;

  for (const [name, limit] of limits) {
    const proxies = name === "two" ? 2 : PROXIES;
    it(`let ${limit} requests through ${proxies} doors, to the unit`, async () => {
      const answers = await spend(name, proxies);
      expect(count(answers, 200)).toBe(Number(limit));
      const others = answers.filter(({ status }) => ![200, 429, 503].includes(status));
      expect(others).toEqual([]);
      const { spent } = await until("all is booked", WAIT_MS, async () => {
        const sums = await fleet.readSums(name);
        return sums.spent === Number(limit) && sums;
      });
      expect(spent).toBe(Number(limit));
    });
  }
});
