import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { Dimension } from "../../gen/weir/admin/v1/policy_pb.ts";
import { until } from "../support/own-process.ts";
import { chat } from "../support/rest-calls.ts";
import { endAll, startWeir, type WeirProcess } from "../support/weir-process.ts";

const TIMEOUT_MS = 180_000;
const WAIT_MS = 60_000;
const CEILING = 400;
const AT_ONCE = 12;

const dataDir = mkdtempSync(join(tmpdir(), "weir-kept-"));

afterAll(async () => {
  await endAll();
  rmSync(dataDir, { recursive: true, force: true });
});

/** Asks several times at once; how many were answered. */
async function ask(weir: WeirProcess): Promise<number> {
  const answers = await Promise.all(
    Array.from({ length: AT_ONCE }, () => chat(weir, { model: "sim/echo" })),
  );
  return answers.filter(({ status }) => status === 200).length;
}

async function readBucket(weir: WeirProcess) {
  const { buckets } = await weir.admin.getQuotaStatus({ name: "policies/ever" });
  return buckets[0];
}

it(
  "lets what killed workers held be spent after a start with fewer",
  async () => {
    const before = await startWeir({ workers: 3, dataDir });
    await before.ready(3);
    const window = { window: { case: "lifetime" as const, value: {} } };
    const value = { dimension: Dimension.REQUESTS, limit: BigInt(CEILING), window };
    await before.admin.createPolicy({
      policy: { name: "policies/ever", rule: { case: "budget", value } },
    });
    let answered = 0;
    await until("a worker that will not come back holds a part", WAIT_MS, async () => {
      answered += await ask(before);
      const leases = (await readBucket(before))?.leases ?? [];
      return leases.some(({ proxyId, held }) => proxyId !== "local-0" && held > 0n);
    });
    await before.killAll();

    const after = await startWeir({ workers: 1, dataDir });
    // Nobody has asked for anything since: whatever is held is what the dead held.
    const settled = await until("nothing is held any more", WAIT_MS, async () => {
      const bucket = await readBucket(after);
      return bucket?.leases.length === 0 ? bucket : undefined;
    });
    const lost = Number(settled.forfeited);
    const spent = Number(settled.spent);
    expect(spent + lost).toBeGreaterThanOrEqual(answered);
    expect(lost).toBeLessThan(CEILING / 2);

    let more = 0;
    for (let now = AT_ONCE; now > 0; more += now) now = await ask(after);
    expect(more).toBe(CEILING - spent - lost);
    await after.stop();
  },
  TIMEOUT_MS,
);
