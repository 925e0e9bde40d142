/**
 * `node test/bench/policy-index.ts [POLICIES] [KEYS]`: what it costs to find the policies of a request among many, in
 * this process. Each team has a budget, a hundred of them a policy below the team, every other policy is about one key.
 */
import { create } from "@bufbuild/protobuf";
import { ResourceSchema } from "../../gen/weir/admin/v1/admin_service_pb.ts";
import { Dimension } from "../../gen/weir/admin/v1/policy_pb.ts";
import { createIdentify } from "../../src/auth/identify.ts";
import { systemClock } from "../../src/mesh/clock.ts";
import type { Principal } from "../../src/mesh/grant.ts";
import { createPolicyRoom } from "../../src/policy/policy-room.ts";
import { createTestAsk, createTestCall } from "../support/calls.ts";
import { holdSnapshot, type TestResources } from "../support/snapshots.ts";

type Policies = NonNullable<TestResources["policies"]>;

const [policyCount = 10_000, keyCount = 50_000] = process.argv.slice(2).map(Number);
const TEAMS = 500;

/** Time of the processors, not of the clock: whoever else is busy here must not count. */
function time<T>(name: string, count: number, run: () => T): T {
  const before = process.cpuUsage();
  const result = run();
  const { user, system } = process.cpuUsage(before);
  const all = user + system;
  const each = ((all * 1_000) / count).toFixed(0);
  process.stdout.write(
    `${name.padEnd(52)} ${(all / 1_000).toFixed(1).padStart(9)} ms  ${each} ns each\n`,
  );
  return result;
}

function budget(
  name: string,
  match: Policies[number]["match"],
  limit = 1_000_000n,
): Policies[number] {
  const window = { window: { case: "lifetime", value: {} } } as const;
  const value = { dimension: Dimension.TOKENS, limit, window };
  return { name, ...(match && { match }), rule: { case: "budget", value } };
}

function listPolicies(): Policies[number][] {
  const policies: Policies[number][] = [
    { name: "policies/all", rule: { case: "access", value: { allowModels: ["*"] } } },
    budget("policies/house", {}),
  ];
  for (let at = 0; at < TEAMS; at++) {
    policies.push(budget(`policies/team-${at}`, { teams: { include: [`teams/t${at}`] } }));
    if (at < 100) policies.push(budget(`teams/t${at}/policies/own`, {}));
  }
  for (let at = 0; policies.length < policyCount; at++) {
    const name = `teams/t${at % TEAMS}/keys/k${at}`;
    policies.push(budget(`policies/key-${at}`, { keys: { include: [name] } }));
  }
  return policies;
}

const keys = Array.from({ length: keyCount }, (_, at) => ({
  name: `teams/t${at % TEAMS}/keys/k${at}`,
  secret: `wk_bench_${at}`,
}));
const policies = listPolicies();
const teams = Array.from({ length: TEAMS }, (_, at) => ({ name: `teams/t${at}` }));
const holder = time("a whole snapshot (made, checked, put in place)", keyCount, () =>
  holdSnapshot({
    teams: [{ name: "teams/root" }, ...teams],
    providers: [{ name: "providers/p", dialect: "sim" }],
    models: [{ name: "models/chat", targets: [{ provider: "providers/p" }] }],
    keys,
    policies,
  }),
);
const tally = { looked: 0 };
const current = () => holder.current;
const identify = createIdentify(current, systemClock);
const room = createPolicyRoom(current, tally);
const call = createTestCall(systemClock);
const ask = createTestAsk("hello", { model: "chat" });

function grantAll(name: string): void {
  tally.looked = 0;
  const principals: Principal[] = keys.map(({ secret }) => identify(secret));
  time(name, keyCount, () => {
    for (const principal of principals) room.grant(principal, ask, call);
  });
  process.stdout.write(
    `${"".padEnd(52)} ${(tally.looked / keyCount).toFixed(2)} policies looked at\n`,
  );
}

function change(policy: Policies[number]): void {
  const { revision } = holder.current;
  const upserts = [create(ResourceSchema, { resource: { case: "policy", value: policy } })];
  const next = { revision: revision + 1, baseRevision: revision, installationId: "test" };
  time(`a change of ${policy.name}`, 1, () => holder.apply({ ...next, upserts, deletions: [] }));
}

process.stdout.write(`${policies.length} policies, ${keyCount} keys\n`);
grantAll("each key asks for the first time");
grantAll("each key asks again");
change(budget("policies/key-0", { keys: { include: [keys[0]?.name ?? ""] } }, 5n));
grantAll("each key asks after a change of one key's policy");
change(budget("policies/team-1", { teams: { include: ["teams/t1"] } }, 5n));
grantAll("each key asks after a change of one team's policy");
change(budget("policies/house", {}, 5n));
grantAll("each key asks after a change of everyone's policy");
