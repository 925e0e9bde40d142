import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createSystemDisk } from "../../src/link/disk.ts";
import { openWatermarks } from "../../src/link/watermark-file.ts";
import { holdingClock } from "../../src/mesh/clock.ts";
import type { BoundLimit } from "../../src/mesh/limit.ts";
import { bindLimit } from "../../src/mesh/limit.ts";
import { createUsage } from "../../src/mesh/usage.ts";
import { createQuota, type QuotaRoomProxy } from "../../src/quota/quota.ts";
import { createTestCall } from "../support/calls.ts";
import { createBoundedAsk, createLimitedLeg, createTestLimit } from "../support/quota-house.ts";
import { createTestGrant } from "../support/quota-ledger.ts";
import { createTestTarget } from "../support/targets.ts";

const ROUNDS = 3_000;
const CALLS_A_ROUND = 100;
const HELD_TO_US = 2;
const PLENTY = 10_000_000_000_000n;

const kinds = [
  { unit: "nano_usd", amount: 1e15 },
  { unit: "tokens", amount: 1e13 },
  { unit: "requests", amount: 1e12 },
  { unit: "nano_usd", amount: 1e15 },
  { unit: "tokens", kind: "rate", amount: 1e12 },
  { unit: "requests", kind: "rate", amount: 1e10 },
  { unit: "nano_usd", amount: 1e15 },
  { unit: "output_tokens", amount: 1e13 },
  { unit: "slots", kind: "concurrency", amount: 1e6 },
  { unit: "nano_usd", amount: 1e15 },
  { unit: "tokens", amount: 1e13 },
  { unit: "nano_usd", amount: 1e15 },
] as const;

/**
 * What it costs to take from limits and to settle, with leases that suffice: prints the median for
 * 1 and for 12 buckets, how often somebody had to wait (0 is right), and how often the disk was
 * written. True when all is as it is held to be.
 */
export async function benchInProcess(): Promise<boolean> {
  const directory = mkdtempSync(join(tmpdir(), "weir-bench-quota-"));
  const watermarks = await openWatermarks({
    directory,
    disk: createSystemDisk(),
    epoch: 1,
    bootId: "bench",
    log: { info: () => {}, warn: () => {} },
  });
  const quota = createQuota({ clock: holdingClock, watermarks });
  connectLedger(quota);
  let missed = false;
  for (const buckets of [1, 12]) {
    const limits = kinds.slice(0, buckets).map((kind, i): BoundLimit => {
      const bound = bindLimit(createTestLimit({ policy: `policies/${i}`, ...kind }), `n${buckets}`);
      return bound;
    });
    const median = await measure(quota, limits);
    if (median > HELD_TO_US) missed = true;
    const { waited, watermarks: writes } = quota.counters;
    process.stdout.write(
      `${String(buckets).padStart(2)} buckets: reserve + settle ${median.toFixed(2)} µs (median of ` +
        `${ROUNDS} rounds of ${CALLS_A_ROUND}), ${waited} waits, ${writes} disk writes so far\n`,
    );
  }
  const unsound = quota.invariant();
  process.stdout.write(`sums that do not come out: ${unsound}\n`);
  await quota.close();
  await watermarks.close();
  rmSync(directory, { recursive: true });
  if (missed) process.stdout.write(`Held to ${HELD_TO_US} µs over 12 buckets.\n`);
  return !missed && unsound === 0;
}

/** A ledger that has plenty of everything. */
function connectLedger(quota: QuotaRoomProxy): void {
  quota.connected((report) => {
    // A ledger that has plenty: a whole rate with its level, and millions of millions of anything else.
    const leases = report.leases.map((lease) => ({
      ...createTestGrant(lease),
      windowStartMs: 0n,
      granted:
        lease.confirmed +
        lease.returned +
        lease.outstanding +
        (lease.bucket.includes(":rate|") ? 1_000_000n : PLENTY),
      levelGranted: lease.levelReturned + PLENTY * 1_000n,
    }));
    const $typeName = "weir.link.v1.QuotaReply";
    const reply = {
      $typeName,
      leases,
      unavailable: "",
      superseded: false,
      suspended: false,
    } as const;
    queueMicrotask(() => quota.reply({ ...reply, sequence: report.sequence }));
  });
}

/** Microseconds of one call's begin, reserve, settle and end. */
async function measure(quota: QuotaRoomProxy, limits: readonly BoundLimit[]): Promise<number> {
  const target = createTestTarget();
  const leg = createLimitedLeg(limits, target);
  const ask = createBoundedAsk(2_000);
  const call = createTestCall(holdingClock);
  const usage = createUsage({ inputTokens: 400, outputTokens: 90 });
  const cost = {
    $typeName: "weir.v1.Cost",
    costNanoUsd: 490_000n,
    inputNanoUsd: 400_000n,
    outputNanoUsd: 90_000n,
    known: true,
  } as const;
  const first = quota.begin(call, ask);
  (await first.reserve(leg, target)).settle(usage, cost);
  first.end();
  quota.counters.waited = 0;
  const samples: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const begin = holdingClock.now();
    for (let i = 0; i < CALLS_A_ROUND; i++) {
      const mine = quota.begin(call, ask);
      const taken = mine.reserve(leg, target);
      if (taken instanceof Promise) (await taken).settle(usage, cost);
      else taken.settle(usage, cost);
      mine.end();
    }
    samples.push(((holdingClock.now() - begin) * 1_000) / CALLS_A_ROUND);
    // Reports go between rounds, as they do between requests.
    await new Promise((resolve) => setImmediate(resolve));
  }
  return samples.sort((a, b) => a - b)[Math.floor(samples.length / 2)] ?? Number.NaN;
}
