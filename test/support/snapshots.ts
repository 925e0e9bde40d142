import { hash } from "node:crypto";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type Resource, ResourceSchema } from "../../gen/weir/admin/v1/admin_service_pb.ts";
import { ModelSchema } from "../../gen/weir/admin/v1/model_pb.ts";
import { PolicySchema } from "../../gen/weir/admin/v1/policy_pb.ts";
import { ProviderSchema } from "../../gen/weir/admin/v1/provider_pb.ts";
import { KeySchema, TeamSchema, UserSchema } from "../../gen/weir/admin/v1/team_pb.ts";
import { createSnapshotHolder, type SnapshotHolder } from "../../src/mesh/snapshot-holder.ts";

/** Resources by kind, as a test writes them down. */
export interface TestResources {
  readonly teams?: ReadonlyArray<MessageInitShape<typeof TeamSchema>>;
  readonly users?: ReadonlyArray<MessageInitShape<typeof UserSchema>>;
  readonly providers?: ReadonlyArray<MessageInitShape<typeof ProviderSchema>>;
  readonly models?: ReadonlyArray<MessageInitShape<typeof ModelSchema>>;
  readonly policies?: ReadonlyArray<MessageInitShape<typeof PolicySchema>>;
  /** A key and its secret. */
  readonly keys?: ReadonlyArray<MessageInitShape<typeof KeySchema> & { readonly secret: string }>;
}

/** A holder that serves these resources at revision 1. */
export function holdSnapshot(resources: TestResources): SnapshotHolder {
  const holder = createSnapshotHolder({
    env: {},
    readFile: (path) => {
      throw new Error(`no file ${path} in tests`);
    },
    findPrice: () => undefined,
  });
  holder.apply({
    revision: 1,
    baseRevision: 0,
    installationId: "test",
    upserts: listResources(resources),
    deletions: [],
  });
  return holder;
}

function listResources(resources: TestResources): Resource[] {
  const all: Array<Resource["resource"]> = [
    ...(resources.teams ?? []).map(
      (each) => ({ case: "team", value: create(TeamSchema, each) }) as const,
    ),
    ...(resources.users ?? []).map(
      (each) => ({ case: "user", value: create(UserSchema, each) }) as const,
    ),
    ...(resources.providers ?? []).map(
      (each) => ({ case: "provider", value: create(ProviderSchema, each) }) as const,
    ),
    ...(resources.models ?? []).map(
      (each) => ({ case: "model", value: create(ModelSchema, each) }) as const,
    ),
    ...(resources.policies ?? []).map(
      (each) => ({ case: "policy", value: create(PolicySchema, each) }) as const,
    ),
    ...(resources.keys ?? []).map(({ secret, ...key }) => {
      const sha256 = hash("sha256", secret, "buffer");
      const secrets = [{ prefix: secret.slice(0, 10), sha256 }];
      return { case: "key", value: create(KeySchema, { secrets, ...key }) } as const;
    }),
  ];
  return all.map((resource) => create(ResourceSchema, { resource }));
}
