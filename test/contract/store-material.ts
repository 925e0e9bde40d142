import type { MessageInitShape } from "@bufbuild/protobuf";
import { create } from "@bufbuild/protobuf";
import type { Resource } from "../../gen/weir/admin/v1/admin_service_pb.ts";
import { ResourceSchema } from "../../gen/weir/admin/v1/admin_service_pb.ts";
import type { RequestRecord } from "../../gen/weir/admin/v1/record_pb.ts";
import { RequestRecordSchema } from "../../gen/weir/admin/v1/record_pb.ts";
import { createTimestamp } from "../../src/mesh/record.ts";
import type { LedgerFilter, PolicyWrite, ResourceWrite } from "../../src/store/store.ts";

export function createTeam(name: string, displayName = ""): Resource {
  return create(ResourceSchema, { resource: { case: "team", value: { name, displayName } } });
}

/** A key with these secrets' SHA-256, in hexadecimal. */
export function createKey(name: string, ...secrets: string[]): Resource {
  return create(ResourceSchema, {
    resource: {
      case: "key",
      value: {
        name,
        secrets: secrets.map((hex) => ({
          prefix: "weir_",
          sha256: Uint8Array.from(Buffer.from(hex, "hex")),
        })),
      },
    },
  });
}

export function putTeam(name: string, displayName = "", expected = "absent"): ResourceWrite {
  return { name, kind: "team", body: createTeam(name, displayName), expected };
}

export function createWrite(
  writes: readonly ResourceWrite[],
  more: Partial<PolicyWrite> = {},
): PolicyWrite {
  return { writes, actor: "users/ada", reason: "a test", requestId: "", atMs: 1_000, ...more };
}

export const everything: LedgerFilter = {
  teams: [],
  keys: [],
  users: [],
  models: [],
  providers: [],
  labels: {},
  onlyErrors: false,
};

/** A record that began at `startMs`. */
export function createRecordAt(
  requestId: string,
  startMs: number,
  more: MessageInitShape<typeof RequestRecordSchema> = {},
): RequestRecord {
  const startTime = createTimestamp(startMs);
  return create(RequestRecordSchema, { requestId, startTime, costKnown: true, ...more });
}
