import { clone, create, type DescMessage, equals, type Message } from "@bufbuild/protobuf";
import { type Resource, ResourceSchema } from "../../gen/weir/admin/v1/admin_service_pb.ts";
import { type Model, ModelSchema } from "../../gen/weir/admin/v1/model_pb.ts";
import { type Policy, PolicySchema } from "../../gen/weir/admin/v1/policy_pb.ts";
import {
  CredentialSchema,
  type Provider,
  ProviderSchema,
} from "../../gen/weir/admin/v1/provider_pb.ts";
import {
  type Key,
  KeySchema,
  type Meta,
  type Team,
  TeamSchema,
  type User,
  UserSchema,
} from "../../gen/weir/admin/v1/team_pb.ts";
import type { ResourceKind } from "../store/store.ts";

/** What every kind of resource has in common. */
export interface Body extends Message {
  name: string;
  labels: { [key: string]: string };
  meta?: Meta | undefined;
}

/**
 * How a kind of resource is named, kept and shown. One for each kind; everything else is written
 * once for all.
 */
export interface Kind<T extends Body> {
  readonly kind: ResourceKind;
  readonly desc: DescMessage;
  readonly pattern: RegExp;
  /** The form of its names, for errors. */
  readonly form: string;
  /** What only the server writes, by the fields' names in the proto. */
  readonly serverFields: ReadonlySet<string>;
  wrap(body: T): Resource;
  /** Undefined when the resource is of another kind. */
  unwrap(resource: Resource): T | undefined;
  copy(body: T): T;
  /** Whether two are alike, `meta` aside. */
  same(a: T, b: T): boolean;
  /** A copy as callers may see it: without secrets. */
  scrub(body: T): T;
}

export const teamKind: Kind<Team> = {
  kind: "team",
  desc: TeamSchema,
  pattern: /^teams\/[a-z0-9][a-z0-9-]{0,62}$/,
  form: "teams/{team}, {team} of a-z, 0-9 and -, at most 63",
  serverFields: new Set(["name", "meta"]),
  wrap: (value) => wrap({ case: "team", value }),
  unwrap: ({ resource }) => (resource.case === "team" ? resource.value : undefined),
  copy: (body) => clone(TeamSchema, body),
  same: (a, b) => equals(TeamSchema, withoutMeta(a), withoutMeta(b)),
  scrub: (body) => clone(TeamSchema, body),
};

export const userKind: Kind<User> = {
  kind: "user",
  desc: UserSchema,
  pattern: /^users\/[a-z0-9][a-z0-9._@-]{0,126}$/,
  form: "users/{user}, {user} of a-z, 0-9, ., _, @ and -, at most 127",
  serverFields: new Set(["name", "meta"]),
  wrap: (value) => wrap({ case: "user", value }),
  unwrap: ({ resource }) => (resource.case === "user" ? resource.value : undefined),
  copy: (body) => clone(UserSchema, body),
  same: (a, b) => equals(UserSchema, withoutMeta(a), withoutMeta(b)),
  scrub: (body) => clone(UserSchema, body),
};

export const keyKind: Kind<Key> = {
  kind: "key",
  desc: KeySchema,
  pattern: /^teams\/[a-z0-9][a-z0-9-]{0,62}\/keys\/[a-z0-9][a-z0-9-]{0,62}$/,
  form: "teams/{team}/keys/{key}, {key} of a-z, 0-9 and -, at most 63",
  serverFields: new Set(["name", "meta", "prefix", "secrets", "last_used_time"]),
  wrap: (value) => wrap({ case: "key", value }),
  unwrap: ({ resource }) => (resource.case === "key" ? resource.value : undefined),
  copy: (body) => clone(KeySchema, body),
  same: (a, b) => equals(KeySchema, withoutMeta(a), withoutMeta(b)),
  scrub: (body) => {
    const shown = clone(KeySchema, body);
    for (const secret of shown.secrets) secret.sha256 = new Uint8Array();
    return shown;
  },
};

export const providerKind: Kind<Provider> = {
  kind: "provider",
  desc: ProviderSchema,
  pattern: /^providers\/[a-z0-9][a-z0-9-]{0,62}$/,
  form: "providers/{provider}, {provider} of a-z, 0-9 and -, at most 63",
  serverFields: new Set(["name", "meta"]),
  wrap: (value) => wrap({ case: "provider", value }),
  unwrap: ({ resource }) => (resource.case === "provider" ? resource.value : undefined),
  copy: (body) => clone(ProviderSchema, body),
  same: (a, b) => equals(ProviderSchema, withoutMeta(a), withoutMeta(b)),
  scrub: (body) => {
    const shown = clone(ProviderSchema, body);
    const source = shown.credential?.source;
    if (source?.case === "sealed" || source?.case === "secret") {
      // Empty, so that one sees that there is a secret, and can send the resource back as it came.
      shown.credential = create(CredentialSchema, {
        source: { case: "sealed", value: new Uint8Array() },
      });
    }
    return shown;
  },
};

export const modelKind: Kind<Model> = {
  kind: "model",
  desc: ModelSchema,
  pattern: /^models\/(?:[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,254}\*?|\*)$/,
  form: "models/{model}, {model} of letters, digits and . _ : / @ + -, or ending in one *",
  serverFields: new Set(["name", "meta"]),
  wrap: (value) => wrap({ case: "model", value }),
  unwrap: ({ resource }) => (resource.case === "model" ? resource.value : undefined),
  copy: (body) => clone(ModelSchema, body),
  same: (a, b) => equals(ModelSchema, withoutMeta(a), withoutMeta(b)),
  scrub: (body) => clone(ModelSchema, body),
};

export const policyKind: Kind<Policy> = {
  kind: "policy",
  desc: PolicySchema,
  pattern: /^(?:teams\/[a-z0-9][a-z0-9-]{0,62}\/)?policies\/[a-z0-9][a-z0-9-]{0,62}$/,
  form: "policies/{policy} or teams/{team}/policies/{policy}, of a-z, 0-9 and -, at most 63",
  serverFields: new Set(["name", "meta"]),
  wrap: (value) => wrap({ case: "policy", value }),
  unwrap: ({ resource }) => (resource.case === "policy" ? resource.value : undefined),
  copy: (body) => clone(PolicySchema, body),
  same: (a, b) => equals(PolicySchema, withoutMeta(a), withoutMeta(b)),
  scrub: (body) => clone(PolicySchema, body),
};

/** The team that a key or a policy belongs to, `teams/{team}`; empty for what belongs to none. */
export function teamOf(name: string): string {
  const parts = name.split("/");
  return parts[0] === "teams" && parts.length === 4 ? `teams/${parts[1]}` : "";
}

/** A resource of any kind without what callers must not see. */
export function scrubResource(resource: Resource): Resource {
  const inner = resource.resource;
  switch (inner.case) {
    case "key":
      return keyKind.wrap(keyKind.scrub(inner.value));
    case "provider":
      return providerKind.wrap(providerKind.scrub(inner.value));
    default:
      return resource;
  }
}

function wrap(resource: Resource["resource"]): Resource {
  return create(ResourceSchema, { resource });
}

function withoutMeta<T extends Body>(body: T): T {
  return { ...body, meta: undefined };
}
