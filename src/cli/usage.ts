import { toJson } from "@bufbuild/protobuf";
import { z } from "zod";
import {
  type QueryUsageRequest,
  QueryUsageResponseSchema,
  TimeBucket,
  UsageDimension,
  type UsageRow,
} from "../../gen/weir/admin/v1/usage_service_pb.ts";
import type { WeirAdminClient } from "../client/admin.ts";
import { systemClock } from "../mesh/clock.ts";
import type { Command } from "./command.ts";
import {
  adminOptions,
  connectionShape,
  outputOption,
  outputShape,
  withAdmin,
} from "./connection.ts";
import { print, printJson } from "./output.ts";
import { parseMoment, toTimestamp } from "./quantities.ts";
import { type OptionSpecs, readOptions } from "./read-options.ts";
import { createFilter, filterOptions, filterShape } from "./record-filter.ts";
import { UsageError } from "./usage-error.ts";
import { formatUsage } from "./usage-table.ts";

const PAGE_SIZE = 10_000;

const options: OptionSpecs = {
  ...adminOptions,
  ...outputOption,
  by: {
    value: "A,B",
    help: "group by team, key, user, model, provider, time, label:NAME or none; default team,model",
  },
  since: { value: "TIME", help: "from here on: 7d, 2026-01-31, …; default 7d" },
  until: { value: "TIME", help: "before this; default now" },
  bucket: { value: "STEP", help: "group by minute, hour, day or month (UTC), too" },
  ...filterOptions,
};

const schema = z.object({
  ...connectionShape,
  ...outputShape,
  ...filterShape,
  by: z.string().default("team,model"),
  since: z.string().default("7d"),
  until: z.string().optional(),
  bucket: z.enum(["minute", "hour", "day", "month"], "write minute, hour, day or month").optional(),
});

/** `weir usage`: requests, tokens and money by group. */
export const command: Command = {
  name: "usage",
  summary: "Add up requests, tokens and cost.",
  synopsis: "[--by team,model] [--since 7d] [OPTION…]",
  options,
  run: (args, env) => {
    const { options: given, positionals } = readOptions(args, options, schema, env);
    if (positionals.length > 0) throw new UsageError(`what is "${positionals[0]}"? Use --by`);
    const nowMs = systemClock.wallMs();
    const { groupBy, label } = readGroups(given.by, given.bucket !== undefined);
    const request = {
      filter: {
        ...createFilter(given),
        startTime: toTimestamp(parseMoment("since", given.since, { nowMs })),
        ...(given.until === undefined
          ? {}
          : { endTime: toTimestamp(parseMoment("until", given.until, { nowMs })) }),
      },
      groupBy,
      label,
      timeBucket: buckets[given.bucket ?? "day"],
    };
    return withAdmin("usage", given, async ({ usage }) => {
      const rows = await query(usage, request);
      if (given.output === "json") {
        const answer = { $typeName: QueryUsageResponseSchema.typeName, rows, nextPageToken: "" };
        printJson(toJson(QueryUsageResponseSchema, answer));
      } else if (rows.length === 0) {
        print("There were no such requests in this time.");
      } else {
        print(formatUsage(rows, { groupBy, label }));
      }
      return 0;
    });
  },
};

type UsageQuery = Parameters<WeirAdminClient["usage"]["queryUsage"]>[0];

async function query(
  usage: WeirAdminClient["usage"],
  request: UsageQuery & object,
): Promise<UsageRow[]> {
  const rows: UsageRow[] = [];
  for (let pageToken = ""; ; ) {
    const page = await usage.queryUsage({ ...request, pageSize: PAGE_SIZE, pageToken });
    rows.push(...page.rows);
    pageToken = page.nextPageToken;
    if (pageToken === "") return rows;
  }
}

function readGroups(text: string, bucketed: boolean): Pick<QueryUsageRequest, "groupBy" | "label"> {
  const groupBy: UsageDimension[] = [];
  let label = "";
  const words = text === "" || text === "none" ? [] : text.split(",");
  for (const word of words.map((each) => each.trim())) {
    const [name = "", ...rest] = word.split(":");
    const dimension = dimensions[name];
    if (dimension === undefined || (rest.length > 0 && dimension !== UsageDimension.LABEL)) {
      const known = Object.keys(dimensions).join(", ").replace("label", "label:NAME");
      throw new UsageError(`--by: "${word}" is no group: write ${known} or none`);
    }
    if (dimension === UsageDimension.LABEL) {
      label = rest.join(":");
      if (label === "") throw new UsageError("--by: which label? Write label:NAME");
    }
    if (groupBy.includes(dimension)) throw new UsageError(`--by: "${name}" is there twice`);
    groupBy.push(dimension);
  }
  if (bucketed && !groupBy.includes(UsageDimension.TIME)) groupBy.unshift(UsageDimension.TIME);
  return { groupBy, label };
}

const dimensions: Readonly<Record<string, UsageDimension | undefined>> = {
  team: UsageDimension.TEAM,
  key: UsageDimension.KEY,
  user: UsageDimension.USER,
  model: UsageDimension.MODEL,
  provider: UsageDimension.PROVIDER,
  time: UsageDimension.TIME,
  label: UsageDimension.LABEL,
};

const buckets = {
  minute: TimeBucket.MINUTE,
  hour: TimeBucket.HOUR,
  day: TimeBucket.DAY,
  month: TimeBucket.MONTH,
};
