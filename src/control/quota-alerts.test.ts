import { createHmac } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type IncomingHttpHeaders, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { eventually } from "../../test/support/eventually.ts";
import { VirtualClock } from "../mesh/virtual-clock.ts";
import { openSqliteStore, type SqliteStore } from "../store/sqlite-store.ts";
import { checkAlertUrl, createWebhookSecret } from "./alert-message.ts";
import { type BudgetReading, createQuotaAlerts, type QuotaAlerts } from "./quota-alerts.ts";

interface Heard {
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

const secret = createWebhookSecret(Buffer.alloc(24, 7));

describe("alerts of budgets", () => {
  let directory = "";
  let server: Server;
  let url = "";
  let heard: Heard[] = [];
  let answers: number[] = [];
  let clock: VirtualClock;
  let store: SqliteStore;
  let alerts: QuotaAlerts;
  const faults: string[] = [];

  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), "weir-alerts-"));
    heard = [];
    answers = [];
    faults.length = 0;
    server = createServer((request, response) => {
      const parts: Buffer[] = [];
      request.on("data", (part: Buffer) => parts.push(part));
      request.on("end", () => {
        heard.push({ headers: request.headers, body: Buffer.concat(parts).toString() });
        response.writeHead(answers.shift() ?? 204).end();
      });
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`;
    clock = new VirtualClock();
    store = await openSqliteStore({ path: join(directory, "x.db"), clock });
    await store.migrate();
    alerts = createQuotaAlerts({
      store,
      clock,
      installationId: "ins_1",
      secret,
      onFault: (text) => faults.push(text),
    });
  });
  afterEach(async () => {
    alerts.close();
    await store.close();
    server.close();
    rmSync(directory, { recursive: true });
  });

  /** Lets time pass until so many messages have come; each round waits for the one before. */
  async function hear(count: number): Promise<void> {
    await eventually(async () => {
      await clock.advance(1_000);
      expect(heard.length).toBeGreaterThanOrEqual(count);
    });
  }

  function read(spent: number, more: Partial<BudgetReading> = {}): BudgetReading {
    return {
      bucket: "policies/p|nano_usd:month@UTC|teams/a",
      policy: "policies/p",
      subject: "teams/a",
      unit: "nano_usd",
      windowStartMs: 0,
      windowEndMs: 2_678_400_000,
      ceiling: 5_000_000_000,
      spent,
      exhausted: false,
      percents: [],
      urls: [url],
      ...more,
    };
  }

  it("come once a percentage and window, signed as Standard Webhooks says", async () => {
    alerts.note([read(2_400_000_000)]);
    alerts.note([read(2_500_000_000)]);
    alerts.note([read(2_600_000_000)]);
    await hear(1);
    const [{ headers, body } = { headers: {}, body: "" }] = heard;
    expect(JSON.parse(body)).toMatchObject({
      type: "quota.alert",
      data: {
        installation_id: "ins_1",
        policy: "policies/p",
        percent: 50,
        spent: 2_500_000_000,
        text: "policies/p for teams/a: 50 % reached ($2.50 of $5.00, until 1970-02-01T00:00Z)",
      },
    });
    const signed = `${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${body}`;
    const key = Buffer.from(secret.text.slice("whsec_".length), "base64");
    const signature = createHmac("sha256", key).update(signed).digest("base64");
    expect(headers["webhook-signature"]).toBe(`v1,${signature}`);

    alerts.note([read(1, { windowStartMs: 2_678_400_000, exhausted: true, percents: [90, 100] })]);
    await hear(3);
    const percents = heard.map((each) => JSON.parse(each.body).data.percent);
    expect(percents.slice(1).sort()).toEqual([100, 90]);
    expect(faults).toEqual([]);
  });

  it("are tried again, as the same message, until they are taken", async () => {
    answers = [500, 302];
    alerts.note([read(2_500_000_000)]);
    await hear(3);
    expect(new Set(heard.map(({ headers }) => headers["webhook-id"])).size).toBe(1);
    const page = { policy: "policies/p", afterMs: undefined, limit: 1 };
    await eventually(async () => {
      expect(await store.listAlerts(page)).toMatchObject([{ delivered: 1, pending: 0 }]);
    });
    expect(alerts.counters).toEqual({ delivered: 1, failed: 2, abandoned: 0 });
  });

  it("to an address of Slack's are one line of text", async () => {
    alerts.note([read(2_500_000_000, { urls: [`slack+${url}`] })]);
    await hear(1);
    expect(JSON.parse(heard[0]?.body ?? "{}")).toEqual({
      text: "policies/p for teams/a: 50 % reached ($2.50 of $5.00, until 1970-02-01T00:00Z)",
    });
    expect(heard[0]?.headers["webhook-signature"]).toBeUndefined();
  });

  it("tell nobody of a ceiling of nothing", async () => {
    alerts.note([read(0, { ceiling: 0, exhausted: true })]);
    expect(await store.listAlerts({ policy: "", afterMs: undefined, limit: 1 })).toEqual([]);
  });
});

describe("checkAlertUrl()", () => {
  for (const wrong of ["", "hooks", "ftp://a/b", "slack+ftp://a", "file:///etc/passwd"]) {
    it(`go to no such address: ${JSON.stringify(wrong)}`, () => {
      expect(() => checkAlertUrl("f", wrong)).toThrow(/is no address/);
    });
  }
});
