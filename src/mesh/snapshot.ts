import type { Resource } from "../../gen/weir/admin/v1/admin_service_pb.ts";
import type { Model } from "../../gen/weir/admin/v1/model_pb.ts";
import type { Policy } from "../../gen/weir/admin/v1/policy_pb.ts";
import type { Key, KeySecret, Team, User } from "../../gen/weir/admin/v1/team_pb.ts";
import type { PolicyIndex } from "./policy-index.ts";
import type { ProviderEntry, Target } from "./target.ts";

/**
 * All policy that a proxy serves by, compiled. Readers take what they need within one turn of the
 * event loop; a change is checked whole and then applied within one turn, so nobody ever sees half
 * of it.
 */
export interface Snapshot {
  /** 0 until the first snapshot has come. */
  readonly revision: number;
  readonly installationId: string;
  readonly teams: ReadonlyMap<string, Team>;
  readonly users: ReadonlyMap<string, User>;
  readonly keys: ReadonlyMap<string, Key>;
  /** By SHA-256 of the secret in hexadecimal. */
  readonly secrets: ReadonlyMap<string, KeyOfSecret>;
  readonly providers: ReadonlyMap<string, ProviderEntry>;
  /** By the name that clients use, without `models/`; wildcards are not in it. */
  readonly models: ReadonlyMap<string, ModelEntry>;
  /** The longest prefix first. */
  readonly wildcards: readonly ModelEntry[];
  readonly policies: ReadonlyMap<string, Policy>;
  /** The enabled policies, by whom they can concern. A new object after a whole change only. */
  readonly policyIndex: PolicyIndex;
}

/** The key that a secret belongs to. */
export interface KeyOfSecret {
  readonly key: Key;
  readonly secret: KeySecret;
}

/** A model with its compiled targets. */
export interface ModelEntry {
  /** As clients use it, without `models/`; ends in `*` for a wildcard. */
  readonly name: string;
  readonly resource: Model;
  /** Its targets for a name; for a wildcard the name decides the upstream model. */
  targetsFor(name: string): readonly Target[];
}

/** A change from one revision to another. */
export interface SnapshotChange {
  readonly revision: number;
  /** The revision that it builds on. 0 means that it is whole. */
  readonly baseRevision: number;
  readonly installationId: string;
  readonly upserts: readonly Resource[];
  readonly deletions: readonly string[];
}
