import { request } from "undici";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Dimension } from "../../gen/weir/admin/v1/policy_pb.ts";
import { eventually } from "../support/eventually.ts";
import { budget, COUNTED, LimitedWeir, messages } from "../support/limited-weir.ts";
import { post } from "../support/rest-calls.ts";
import type { ScriptedUpstream } from "../support/scripted-upstream.ts";
import { ADMIN_KEY, KEY, type WeirProcess } from "../support/weir-process.ts";

const timeout = 120_000;

let house: LimitedWeir;
let weir: WeirProcess;
let upstream: ScriptedUpstream;

beforeAll(async () => {
  house = await LimitedWeir.start();
  ({ weir, upstream } = house);
}, timeout);
afterAll(() => house?.close());

/** Asks for a stream that does not end, and waits until it is under way; the result ends it. */
async function hold(model: string, key = KEY): Promise<() => Promise<void>> {
  const leaving = new AbortController();
  const script = `hold:middle/${model}-0`;
  const before = upstream.of(script).length;
  const asked = request(`${weir.url}/v1/chat/completions`, {
    method: "POST",
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
    body: JSON.stringify({ model, messages, max_tokens: 100, stream: true }),
    signal: leaving.signal,
  });
  const ended = asked.then(({ body }) => body.text()).catch(() => undefined);
  await eventually(() => expect(upstream.of(script)).toHaveLength(before + 1));
  return async () => {
    leaving.abort();
    await ended;
  };
}

function change(policy: string, limit: bigint) {
  return weir.admin.updatePolicy({
    policy: { name: `policies/${policy}`, rule: budget(Dimension.REQUESTS, limit) },
    updateMask: { paths: ["budget"] },
  });
}

describe.concurrent("a policy that changes", () => {
  it("holds what is left of a lower limit, and of a higher one again", { timeout }, async () => {
    const name = await house.model("lowered");
    await house.limit(name, name, budget(Dimension.REQUESTS, 10n));
    expect(await house.statuses(name, 5)).toEqual([200, 200, 200, 200, 200]);
    await change(name, 2n);
    // What was leased before is called back.
    await eventually(async () => expect((await house.settled(name, 5n)).leased).toBe(0n));
    expect(await house.statuses(name, 2)).toEqual([429, 429]);
    const { overhang, ceiling } = await house.settled(name, 5n);
    expect([overhang, ceiling]).toEqual([3n, 2n]);
    await change(name, 6n);
    await eventually(async () => expect((await house.ask(name)).status).toBe(200));
    expect(await house.statuses(name, 2)).toEqual([429, 429]);
    await house.settled(name, 6n);
  });

  it("settles what is under way into what it was taken from", { timeout }, async () => {
    const name = await house.model("reformed", ["hold:middle"]);
    await house.limit(name, name, budget(Dimension.TOKENS, 1_000n));
    const end = await hold(name);
    await change(name, 1n);
    const again = await hold(name);
    expect((await house.ask(name)).status).toBe(429);
    await Promise.all([end(), again()]);
    await eventually(async () => {
      const { buckets } = await weir.admin.getQuotaStatus({ name: `policies/${name}` });
      const [requests, tokens] = [false, true].map((gone) => {
        const bucket = buckets.find((each) => each.gone === gone);
        expect(bucket?.leased).toBe(0n);
        return bucket?.spent ?? 0n;
      });
      expect(requests).toBe(1n);
      expect(tokens).toBeGreaterThan(0n);
    });
  });

  it("leaves nothing behind when it is deleted with requests under way", { timeout }, async () => {
    const name = await house.model("deleted", ["hold:middle"]);
    await house.limit(name, name, budget(Dimension.TOKENS, 1_000n));
    const end = await hold(name);
    await weir.admin.deletePolicy({ name: `policies/${name}` });
    // More than the limit would have let through.
    const others = [end];
    for (let i = 0; i < 10; i++) others.push(await hold(name));
    await Promise.all(others.map((each) => each()));
    await eventually(async () => {
      const { buckets } = await weir.admin.getQuotaStatus({ name: `policies/${name}` });
      for (const { leased, gone } of buckets) expect([leased, gone]).toEqual([0n, true]);
    });
  });

  it("books what a key's requests used that is deleted meanwhile", { timeout }, async () => {
    const name = await house.model("orphaned", ["hold:middle"]);
    await house.limit(name, name, budget(Dimension.REQUESTS, 5n));
    const key = "teams/first/keys/orphaned";
    const { secret } = await weir.admin.createKey({ key: { name: key } });
    const end = await hold(name, secret);
    await weir.admin.deleteKey({ name: key });
    await end();
    await house.settled(name, 1n);
  });
});

describe.concurrent("what costs nothing", () => {
  it("is to list models, to count tokens and to be refused at the door", { timeout }, async () => {
    const name = await house.model("free");
    await house.limit(name, name, budget(Dimension.REQUESTS, 1n));
    const headers = { authorization: `Bearer ${KEY}` };
    for (const path of ["/v1/models", `/v1/models/${name}`, "/v1/key"]) {
      const { statusCode, body } = await request(`${weir.url}${path}`, { headers });
      expect([path, statusCode]).toEqual([path, 200]);
      await body.dump();
    }
    const counted = await post(weir, "/v1/messages/count_tokens", { model: name, messages });
    expect(counted.status).toBe(200);
    expect(await house.statuses(name, 1, {}, ADMIN_KEY)).toEqual([403]);
    expect(await house.statuses(name, 1, {}, "wk_nobody")).toEqual([401]);
    expect((await house.ask(name, { messages: [] })).status).toBe(400);
    expect(await house.statuses(name, 2)).toEqual([200, 429]);
    expect(upstream.of(`${COUNTED}/free-0`)).toHaveLength(1);
  });
});

describe.concurrent("a batch of embeddings", () => {
  it("is taken whole, however long a model's context is", { timeout }, async () => {
    const name = await house.model("batch", undefined, { contextTokensMax: 100 });
    await house.limit(name, name, budget(Dimension.TOKENS, 100_000n));
    const input = Array.from({ length: 2_048 }, () => "x".repeat(100));
    const refused = await post(weir, "/v1/embeddings", { model: name, input });
    expect(refused.status).toBe(429);
    expect(upstream.of(`${COUNTED}/batch-0`)).toEqual([]);
  });
});
