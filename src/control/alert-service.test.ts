import type { Client } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { AdminService } from "../../gen/weir/admin/v1/admin_service_pb.ts";
import { Role } from "../../gen/weir/admin/v1/team_pb.ts";
import type { Alert } from "../store/alert-operations.ts";
import { adminSecret, openTrial, reasonOf, type Trial } from "./trial.fixture.ts";

let trial: Trial;
let admin: Client<typeof AdminService>;
let auditor: Client<typeof AdminService>;
let lead: Client<typeof AdminService>;

beforeAll(async () => {
  trial = await openTrial();
  admin = trial.client(AdminService, adminSecret);
  await admin.createTeam({ team: { name: "teams/a" } });
  auditor = trial.client(AdminService, await trial.key("teams/root", "auditor", Role.AUDITOR));
  lead = trial.client(AdminService, await trial.key("teams/a", "lead", Role.TEAM_ADMIN));
});
afterAll(() => trial.close());

function raise(policy: string, percent: number): Promise<readonly Alert[]> {
  const alert: Alert = {
    bucket: `${policy}|nano_usd:lifetime|`,
    windowStartMs: 0,
    windowEndMs: null,
    percent,
    policy,
    subject: "",
    unit: "nano_usd",
    ceiling: 100,
    spent: percent,
    raisedMs: Date.now(),
  };
  return trial.store.raiseAlerts({ alerts: [alert], urls: [["https://a.example"]] });
}

describe("the RPCs about alerts", () => {
  it("list them for those who see everything, and for nobody else", async () => {
    await raise("policies/listed", 50);
    const { alerts } = await auditor.listAlerts({ policy: "policies/listed" });
    expect(alerts).toMatchObject([{ percent: 50, spent: 50n, ceiling: 100n, pending: 1 }]);
    expect(alerts[0]?.windowEndTime).toBeUndefined();
    expect(await reasonOf(lead.listAlerts({}))).toBe("PERMISSION_DENIED");
    expect(await reasonOf(admin.listAlerts({ pageSize: -1 }))).toBe("INVALID_REQUEST");
  });

  it("tell each once as it comes, whichever process has raised it", async () => {
    await raise("policies/tailed", 10);
    const stop = new AbortController();
    const tail = admin.tailAlerts({ policy: "policies/tailed" }, { signal: stop.signal });
    const heard: number[] = [];
    const listening = (async () => {
      for await (const { alert } of tail) {
        heard.push(alert?.percent ?? 0);
        if (heard.length === 1) await raise("policies/tailed", 80);
        if (heard.at(-1) === 80) break;
        await raise("policies/other", 60);
      }
    })();
    // What was raised in the moment before it began may be told too; what comes later must be.
    await raise("policies/tailed", 50);
    for (let percent = 51; heard.length === 0; percent += 1) {
      await raise("policies/tailed", Math.min(percent, 79));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await listening;
    stop.abort();
    expect(heard).toContain(80);
    expect(new Set(heard).size).toBe(heard.length);
  });

  it("give the secret of webhooks to those who administer the platform", async () => {
    expect((await admin.getWebhookSecret({})).secret).toMatch(/^whsec_[A-Za-z0-9+/]{32}$/);
    expect(await reasonOf(auditor.getWebhookSecret({}))).toBe("PERMISSION_DENIED");
  });
});
