import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { afterEach, describe, expect, it } from "vitest";
import { type Answers, openPretendWeir, type PretendWeir } from "../../test/client/pretend-weir.ts";
import { type Ran, runCommand } from "./run-command.fixture.ts";

let weir: PretendWeir | undefined;

afterEach(() => weir?.close());

/** Runs a command line against a Weir with these answers. */
async function run(answers: Answers, ...args: string[]): Promise<Ran> {
  weir = await openPretendWeir(answers);
  return await runCommand(args, { WEIR_ADDRESS: weir.address, WEIR_KEY: "wk_test" });
}

describe("weir alerts", () => {
  const alert = {
    policy: "policies/money",
    subject: "teams/a",
    unit: "nano_usd",
    percent: 80,
    spent: 4_000_000_000n,
    ceiling: 5_000_000_000n,
    raiseTime: timestampFromMs(0),
    pending: 1,
  };

  it("lists what budgets have told", async () => {
    const { out } = await run({ admin: { listAlerts: () => ({ alerts: [alert] }) } }, "alerts");
    expect(out).toMatch(/1970-01-01 00:00:00 +policies\/money +teams\/a +80 % +\$4 +\$5 +- +1 on/);
  });

  it("follows them, the past ones first", async () => {
    const ran = await run(
      {
        admin: {
          listAlerts: () => ({ alerts: [alert, { ...alert, percent: 50 }] }),
          tailAlerts: async function* ({ policy }) {
            yield { alert: { ...alert, policy, percent: 100 } };
          },
        },
      },
      ...["alerts", "-f", "--policy", "policies/money"],
    );
    expect(ran.out.match(/\d+ % reached/g)).toEqual([
      "50 % reached",
      "80 % reached",
      "100 % reached",
    ]);
    expect(ran.err).toContain("Weir ended the stream");
  });

  it("shows the secret that webhooks verify by", async () => {
    const secret = "whsec_abc";
    const { out } = await run(
      { admin: { getWebhookSecret: () => ({ secret }) } },
      "alerts",
      "secret",
    );
    expect(out).toBe("whsec_abc\n");
  });
});
