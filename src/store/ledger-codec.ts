import { fromBinary } from "@bufbuild/protobuf";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import type { RequestRecord } from "../../gen/weir/admin/v1/record_pb.ts";
import { RequestRecordSchema } from "../../gen/weir/admin/v1/record_pb.ts";
import type { LedgerScope } from "./ledger-scope.ts";
import { mapTime } from "./record-row.ts";
import type { LedgerFilter } from "./store.ts";
import { StoreError } from "./store.ts";

export function decodeRecord(bytes: Uint8Array): RequestRecord {
  return fromBinary(RequestRecordSchema, bytes);
}

/** More names than this would not fit into one statement. */
const NAMES_MAX = 10_000;

/** Throws StoreError when the filter names more than 10,000 things. */
export function encodeScope(filter: LedgerFilter): LedgerScope {
  const { teams, keys, users, models, providers } = filter;
  const names = teams.length + keys.length + users.length + 2 * models.length + providers.length;
  if (names > NAMES_MAX) {
    throw new StoreError(`The filter names more than ${NAMES_MAX} things: ask in several parts.`);
  }
  return {
    startMs: readMilliseconds(filter.startTime),
    endMs: readMilliseconds(filter.endTime),
    teams,
    keys,
    users,
    models,
    providers,
    labels: Object.entries(filter.labels),
    onlyErrors: filter.onlyErrors,
  };
}

function readMilliseconds(time: Timestamp | undefined): number | undefined {
  return time && mapTime(Number(time.seconds), time.nanos);
}
