import { setTimeout as delay } from "node:timers/promises";
import type { Account, Billed } from "./billing-upstream.ts";
import type { Booked, QuotaFleet, Sums } from "./quota-fleet.ts";

/** What is not as it must be, in a sentence. */
export type Finding = string;

/** The upstream's account and the ledger side by side, once all is quiet. */
export interface QuotaAudit {
  readonly ceiling: number;
  readonly billed: number;
  readonly sums: Sums;
  readonly proxies: readonly ProxyAudit[];
  readonly findings: readonly Finding[];
}

export interface ProxyAudit {
  readonly id: string;
  readonly kills: number;
  /** Nano-USD at all models, by the upstream and by the ledger. */
  readonly billed: number;
  readonly booked: number;
  readonly forfeited: number;
  /** The same at the model that always tells what it used. */
  readonly tellingBilled: number;
  readonly tellingBooked: number;
  /** Requests at that model, by the upstream and by the ledger. */
  readonly answered: number;
  readonly counted: number;
}

const QUIET_MS = 60_000;
const SPENDABLE = 0.99;

export function sumBilled(account: Account): number {
  return Object.values(account).reduce((sum, { nanoUsd }) => sum + nanoUsd, 0);
}

/** Waits until nothing is under way, and compares. */
export async function auditFleet(fleet: QuotaFleet, ceiling: number): Promise<QuotaAudit> {
  const account = await settle(fleet);
  const dollar = await fleet.readBooked("dollar");
  const telling = await fleet.readBooked("telling");
  const asked = await fleet.readBooked("asked");
  const sums = await fleet.readSums("dollar");
  const billed = sumBilled(account);
  const proxies = fleet.proxies.map(({ id, kills }): ProxyAudit => {
    const own = Object.entries(account).filter(([name]) => name.startsWith(`${id} `));
    const told = account[`${id} telling`];
    return {
      id,
      kills,
      billed: own.reduce((sum, [, { nanoUsd }]) => sum + nanoUsd, 0),
      booked: bookedBy(dollar, id).confirmed,
      forfeited: bookedBy(dollar, id).forfeited,
      tellingBilled: told?.nanoUsd ?? 0,
      tellingBooked: bookedBy(telling, id).confirmed,
      answered: told?.requests ?? 0,
      counted: bookedBy(asked, id).confirmed,
    };
  });
  const { buckets } = await fleet.admin.getQuotaStatus({ name: "policies/dollar" });
  const told = buckets.reduce((sum, { spent }) => sum + Number(spent), 0);
  const findings = [...judgeSums({ ceiling, billed, sums, told }), ...proxies.flatMap(judgeProxy)];
  return { ceiling, billed, sums, proxies, findings };
}

interface Totals {
  readonly ceiling: number;
  readonly billed: number;
  readonly sums: Sums;
  /** Spent, as the admin service tells it. */
  readonly told: number;
}

function judgeSums({ ceiling, billed, sums, told }: Totals): Finding[] {
  const { spent, leased, forfeited } = sums;
  const findings: Finding[] = [];
  if (billed > ceiling) findings.push(`${billed - ceiling} nano-USD over the ceiling were billed`);
  if (spent + leased + forfeited > ceiling) {
    findings.push(`the ledger: ${spent} spent + ${leased} held + ${forfeited} forfeited`);
  }
  if (billed > spent + forfeited) {
    findings.push(`${billed} was billed, and the ledger knows of ${spent} + ${forfeited} only`);
  }
  if (told !== spent) findings.push(`the admin service tells ${told}, and the ledger has ${spent}`);
  const spendable = ceiling - forfeited;
  if (spent < SPENDABLE * spendable) {
    findings.push(`only ${spent} of ${spendable} could be spent; ${leased} are held`);
  }
  return findings;
}

function judgeProxy(proxy: ProxyAudit): Finding[] {
  const { id, kills, billed, booked, forfeited } = proxy;
  const { tellingBilled, tellingBooked, answered, counted } = proxy;
  const findings: Finding[] = [];
  if (booked + forfeited < billed) {
    findings.push(`${id}: ${billed} was billed, ${booked} booked and ${forfeited} forfeited`);
  }
  if (kills > 0) return findings;
  if (tellingBilled !== tellingBooked) {
    findings.push(`${id}: ${tellingBilled} was billed and told, and ${tellingBooked} is booked`);
  }
  if (answered !== counted) findings.push(`${id}: ${answered} answers, and ${counted} are counted`);
  return findings;
}

function bookedBy(all: readonly Booked[], id: string): Booked {
  const none = { proxyId: id, confirmed: 0, forfeited: 0, held: 0, outstanding: 0 };
  return all.find(({ proxyId }) => proxyId === id) ?? none;
}

/** Waits until neither the account nor the ledger changes any more. */
async function settle(fleet: QuotaFleet): Promise<Account> {
  const endMs = performance.now() + QUIET_MS;
  let before = "";
  for (let quiet = 0; quiet < 3; ) {
    if (performance.now() > endMs) throw new Error(`it does not come to rest: ${before}`);
    const account: Record<string, Billed> = await fleet.readAccount();
    const booked = [await fleet.readBooked("dollar"), await fleet.readBooked("asked")].flat();
    const now = JSON.stringify([account, booked.map(({ confirmed }) => confirmed)]);
    const open = booked.some(({ outstanding }) => outstanding > 0);
    quiet = now === before && !open ? quiet + 1 : 0;
    before = now;
    await delay(700);
  }
  return await fleet.readAccount();
}
