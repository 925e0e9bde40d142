import type { Model } from "../../gen/weir/admin/v1/model_pb.ts";
import type { ExcludedTarget } from "../../gen/weir/admin/v1/record_pb.ts";
import type { Key, Role, Team } from "../../gen/weir/admin/v1/team_pb.ts";
import type { BoundLimit } from "./limit.ts";
import type { Target } from "./target.ts";

/** Who asks. Compiled with the snapshot and shared by all calls of a key; never changed. */
export interface Principal {
  readonly key: Key;
  /** The key's team and the teams above it, nearest first, the root last. */
  readonly teams: readonly Team[];
  /** `users/{user}`, or empty. */
  readonly user: string;
  /** ROLE_UNSPECIFIED for a key that asks models. */
  readonly adminRole: Role;
}

/** What one call may do: made of the principal, the model and the policies. */
export interface Grant {
  readonly principal: Principal;
  readonly revision: number;
  /**
   * The model that was asked for, then those that the caller or the model's resource names as
   * fallbacks.
   */
  readonly legs: readonly Leg[];
  /** Most targets to try; undefined leaves it to routing. */
  readonly targetsMax?: number;
}

/** One model that may answer. */
export interface Leg {
  /** As clients name it, suffix and alias resolved. */
  readonly name: string;
  readonly model: Model;
  /** The targets that policy leaves. */
  readonly targets: readonly Target[];
  /** The targets that policy takes away, and why. */
  readonly excluded: readonly ExcludedTarget[];
  /** After which failures this model is tried. */
  readonly after: "first" | "any" | "context_window" | "content_policy" | "budget";
  /**
   * With `after: "budget"`: the model as limits' `downgradeTo` writes it, which may be an alias. A
   * failure names it in its metadata `downgrade_to`.
   */
  readonly askedAs?: string;
  /** What the call is counted against when this model is asked, each bucket once. */
  readonly limits?: readonly BoundLimit[];
}
