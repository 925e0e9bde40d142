import type { ServiceImpl } from "@connectrpc/connect";
import type { RequestRecord } from "../../gen/weir/admin/v1/record_pb.ts";
import {
  type QueryUsageRequest,
  type TailRequestsRequest,
  TimeBucket,
  UsageDimension,
  type UsageService,
} from "../../gen/weir/admin/v1/usage_service_pb.ts";
import { MeshError } from "../mesh/errors.ts";
import type { Store } from "../store/store.ts";
import type { Broadcast } from "./broadcast.ts";
import type { Caller } from "./caller.ts";
import { refuse } from "./check-fields.ts";
import type { Guard, StreamContext } from "./guard.ts";
import { createPageToken, readNumberedToken, readPageSize } from "./page-token.ts";
import { createMatcher, maySee, scopeFilter, showRecord } from "./usage-scope.ts";
import type { WorldKeeper } from "./world.ts";

/** What the usage service stands on. */
export interface UsageContext {
  readonly store: Store;
  readonly keeper: WorldKeeper;
  readonly broadcast: Broadcast;
}

const BACKLOG_MAX = 1000;

/** The RPCs that read the ledger. */
export function createUsageService(
  context: UsageContext,
  guard: Guard,
): ServiceImpl<typeof UsageService> {
  return {
    queryUsage: guard.unary("QueryUsage", (caller, request) =>
      queryUsage(context, caller, request),
    ),
    getRequest: guard.unary("GetRequest", async (caller, { requestId }) => {
      if (requestId === "") refuse("request_id", "It is required.");
      const record = await context.store.getRecord(requestId);
      if (record === undefined || !maySee(context.keeper.current, caller, record)) {
        throw new MeshError("NOT_FOUND", "There is no such request, or you may not see it.");
      }
      return { record: showRecord(caller, record) };
    }),
    tailRequests: guard.stream("TailRequests", (caller, request, stream) =>
      tail(context, caller, request, stream),
    ),
  };
}

async function queryUsage(context: UsageContext, caller: Caller, request: QueryUsageRequest) {
  const { groupBy, label, timeBucket } = request;
  checkGrouping(request);
  const size = readPageSize(request.pageSize, { max: 10_000, default: 1000 });
  const filter = scopeFilter(context.keeper.current, caller, request.filter);
  const scope = ["usage", JSON.stringify(filter, plainNumbers), groupBy, label, timeBucket];
  const offset = readNumberedToken(scope, request.pageToken);
  const query = { filter, groupBy, label, timeBucket, offset, limit: size + 1 };
  const rows = await context.store.queryUsage(query);
  const more = rows.length > size;
  return {
    rows: rows.slice(0, size),
    nextPageToken: more ? createPageToken(scope, String(offset + size)) : "",
  };
}

function checkGrouping({ groupBy, label, timeBucket }: QueryUsageRequest): void {
  for (const dimension of groupBy) {
    if (dimension <= UsageDimension.UNSPECIFIED || dimension > UsageDimension.TIME) {
      refuse("group_by", `${dimension} is no dimension.`);
    }
  }
  if (new Set(groupBy).size < groupBy.length) refuse("group_by", "Each dimension at most once.");
  if (groupBy.includes(UsageDimension.LABEL) && label === "") {
    refuse("label", "Say which label to group by.");
  }
  if (timeBucket < TimeBucket.UNSPECIFIED || timeBucket > TimeBucket.MONTH) {
    refuse("time_bucket", `${timeBucket} is no step of time.`);
  }
}

async function* tail(
  context: UsageContext,
  caller: Caller,
  request: TailRequestsRequest,
  stream: StreamContext,
): AsyncIterable<Told> {
  const { backlog } = request;
  if (backlog < 0 || backlog > BACKLOG_MAX) refuse("backlog", `It is 0 to ${BACKLOG_MAX}.`);
  const scoped = scopeFilter(context.keeper.current, caller, request.filter);
  const { startTime, endTime, ...filter } = scoped;
  // Listening begins before the past is read, so that nothing falls in between.
  const listener = context.broadcast.listen(createMatcher(filter));
  const hangUp = () => listener.close();
  stream.signal.addEventListener("abort", hangUp);
  try {
    const past = backlog === 0 ? [] : await context.store.recentRecords(filter, backlog);
    const told = new Set(past.map((record) => record.requestId));
    for (const record of [...past].reverse()) yield say(caller, record, 0);
    for (;;) {
      const heard = await listener.next();
      if (heard === undefined) return;
      if (told.delete(heard.record.requestId)) continue;
      stream.assertStill();
      yield say(caller, heard.record, heard.skipped);
    }
  } finally {
    stream.signal.removeEventListener("abort", hangUp);
    listener.close();
  }
}

interface Told {
  readonly record: RequestRecord;
  readonly skipped: bigint;
}

function say(caller: Caller, record: RequestRecord, skipped: number): Told {
  return { record: showRecord(caller, record), skipped: BigInt(skipped) };
}

function plainNumbers(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? String(value) : value;
}
