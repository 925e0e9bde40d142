import { toJsonString } from "@bufbuild/protobuf";
import { z } from "zod";
import { type Alert, AlertSchema } from "../../gen/weir/admin/v1/admin_service_pb.ts";
import { formatAmount } from "./amount.ts";
import type { Command } from "./command.ts";
import {
  adminOptions,
  connectionShape,
  outputOption,
  outputShape,
  withAdmin,
} from "./connection.ts";
import { print } from "./output.ts";
import { formatTime } from "./quantities.ts";
import { type OptionSpecs, readOptions } from "./read-options.ts";
import { formatTable } from "./table.ts";
import { UsageError } from "./usage-error.ts";
import { watch } from "./watch.ts";

const options: OptionSpecs = {
  ...adminOptions,
  ...outputOption,
  policy: { value: "NAME", help: "only of this policy" },
  follow: { value: undefined, help: "go on with those that come, until Ctrl-C", short: "f" },
  limit: { value: "N", help: "how many past ones, 1 to 1000; default 20", short: "n" },
};

const schema = z.object({
  ...connectionShape,
  ...outputShape,
  policy: z.string().default(""),
  follow: z.boolean().default(false),
  limit: z.coerce.number().int().min(1).max(1000).default(20),
});

/** `weir alerts`: what budgets have told, and the secret that webhooks verify by. */
export const command: Command = {
  name: "alerts",
  summary: "List what budgets have told, follow it, or show the secret of webhooks.",
  synopsis: `[--policy NAME] [--follow] [-n N]
       weir alerts secret`,
  options,
  run: (args, env) => {
    const { options: given, positionals } = readOptions(args, options, schema, env);
    const [action = "list", ...rest] = positionals;
    if (rest.length > 0 || (action !== "list" && action !== "secret")) {
      throw new UsageError("write nothing, or secret, after `weir alerts`");
    }
    return withAdmin("alerts", given, async ({ admin }) => {
      if (action === "secret") {
        print((await admin.getWebhookSecret({})).secret);
        return 0;
      }
      const { alerts } = await admin.listAlerts({ policy: given.policy, pageSize: given.limit });
      if (!given.follow) {
        print(given.output === "json" ? alerts.map(toLine).join("\n") : formatAlerts(alerts));
        return 0;
      }
      const show = (alert: Alert) => print(given.output === "json" ? toLine(alert) : say(alert));
      for (const alert of alerts.toReversed()) show(alert);
      const request = { policy: given.policy };
      return watch(
        (calling) => admin.tailAlerts(request, calling),
        ({ alert }) => alert !== undefined && show(alert),
      );
    });
  },
};

function formatAlerts(alerts: readonly Alert[]): string {
  if (alerts.length === 0) return "No budget has told anything yet.";
  const columns = [
    { title: "TIME (UTC)" },
    { title: "POLICY" },
    { title: "WHOSE" },
    { title: "REACHED", right: true },
    { title: "SPENT", right: true },
    { title: "OF", right: true },
    { title: "RESETS (UTC)" },
    { title: "TOLD" },
  ];
  const rows = alerts.map((alert) => [
    formatTime(alert.raiseTime),
    alert.policy,
    alert.subject || "all",
    `${alert.percent} %`,
    formatAmount(alert.spent, alert.unit),
    formatAmount(alert.ceiling, alert.unit),
    formatTime(alert.windowEndTime),
    describeTold(alert),
  ]);
  return formatTable(columns, rows);
}

function describeTold({ delivered, pending, failed }: Alert): string {
  const parts: string[] = [];
  if (delivered > 0) parts.push(`${delivered} told`);
  if (pending > 0) parts.push(`${pending} on the way`);
  if (failed > 0) parts.push(`${failed} given up`);
  return parts.join(", ") || "-";
}

function say(alert: Alert): string {
  const whose = alert.subject === "" ? "" : ` for ${alert.subject}`;
  const spent = formatAmount(alert.spent, alert.unit);
  const ceiling = formatAmount(alert.ceiling, alert.unit);
  const reached = `${alert.percent} % reached, ${spent} of ${ceiling}`;
  return `${formatTime(alert.raiseTime)}  ${alert.policy}${whose}  ${reached}`;
}

function toLine(alert: Alert): string {
  return toJsonString(AlertSchema, alert);
}
