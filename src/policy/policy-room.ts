import { Role } from "../../gen/weir/admin/v1/team_pb.ts";
import type { ChatAsk, EmbedAsk } from "../mesh/ask.ts";
import type { Call } from "../mesh/call.ts";
import { MeshError } from "../mesh/errors.ts";
import type { Grant, Leg, Principal } from "../mesh/grant.ts";
import type { KeyLimit } from "../mesh/key-limit.ts";
import type { Snapshot } from "../mesh/snapshot.ts";
import { findDeniedParameter, listAudited } from "./denied-parameter.ts";
import { createJudge } from "./judge.ts";
import type { NameVerdict } from "./judge-name.ts";
import { listLegs, NAME_CHARACTERS_MAX } from "./list-legs.ts";
import { narrowLegs } from "./preferences.ts";
import type { PolicyTally } from "./shelf-view.ts";

/**
 * Suffixes that ask for a strategy; see issue and design: the strategies beyond WEIGHTED are not
 * there yet.
 */
const STRATEGY_SUFFIXES = [":nitro", ":floor", ":online", ":free"];

/** What policy says, for the journey and for the list of models. */
export interface PolicyRoom {
  /**
   * Makes the grant of a call. Throws MODEL_NOT_ALLOWED, MODEL_NOT_FOUND, PARAMETER_NOT_ALLOWED;
   * PERMISSION_DENIED for an administrative key, which spends nothing; UNIMPLEMENTED for what is
   * designed and not there yet.
   */
  grant(principal: Principal, ask: ChatAsk | EmbedAsk, call: Call): Grant;
  /** A model as a principal sees it; undefined when it may not know of it or there is none. */
  find(principal: Principal, name: string): Leg | undefined;
  /** The limits that concern a key, by name of policy: all that it may come to be refused by. */
  limitsOf(principal: Principal): readonly KeyLimit[];
}

/** Policy over whatever snapshot is current. */
export function createPolicyRoom(
  current: () => Snapshot,
  tally: PolicyTally = { looked: 0 },
): PolicyRoom {
  const { judge, limitsOf } = createJudge(current, tally);
  const find: PolicyRoom["find"] = (principal, name) => {
    if (name.length > NAME_CHARACTERS_MAX) return undefined;
    const verdict = judge({ principal, labels: {} }, name);
    return verdict.access.deniedBy === undefined ? verdict.leg : undefined;
  };
  return {
    grant: (principal, ask, call) => {
      if (principal.adminRole !== Role.UNSPECIFIED) {
        throw new MeshError(
          "PERMISSION_DENIED",
          "An administrative key administers and asks no models. Use a key of a team.",
        );
      }
      assertShort(ask.model);
      const asker = { principal, labels: ask.labels };
      const first = judge(asker, ask.model);
      call.trail.auditDeniedBy.push(...first.access.auditDeniedBy, ...listAudited(first, ask));
      const leg = assertAllowed(first, ask.model);
      assertParameters(first, ask);
      const legs = listLegs(leg, ask, call, (name) => judge(asker, name));
      const wishes = ask.routing();
      return {
        principal,
        revision: current().revision,
        legs: wishes === undefined ? legs : narrowLegs(legs, wishes),
        ...(wishes?.allowFallbacks === false ? { targetsMax: 1 } : {}),
      };
    },
    find,
    limitsOf: (principal) => {
      // An administrative key spends nothing.
      if (principal.adminRole !== Role.UNSPECIFIED) return [];
      return limitsOf(principal, (model) => find(principal, model) !== undefined);
    },
  };
}

function assertShort(asked: string): void {
  if (asked.length <= NAME_CHARACTERS_MAX) return;
  throw new MeshError(
    "MODEL_NOT_FOUND",
    `There is no model ${quote(asked)} here: a name has at most ${NAME_CHARACTERS_MAX} characters.`,
    { field: "model" },
  );
}

/** Denied comes before unknown, so that a caller learns nothing of models that it may not use. */
function assertAllowed({ access, leg }: NameVerdict, asked: string): Leg {
  if (access.deniedBy !== undefined) {
    const policy = access.deniedBy;
    throw new MeshError(
      "MODEL_NOT_ALLOWED",
      policy === ""
        ? `No policy allows this key to use the model ${quote(asked)}. Ask your platform team for an access policy.`
        : `${policy} does not allow this key to use the model ${quote(asked)}.`,
      { field: "model", metadata: { policy, model: asked } },
    );
  }
  if (leg !== undefined) return leg;
  const suffix = STRATEGY_SUFFIXES.find((each) => asked.endsWith(each));
  if (suffix !== undefined) {
    throw new MeshError(
      "UNIMPLEMENTED",
      `Routing by the suffix ${suffix} is not there yet. Ask for the model without it.`,
      { field: "model" },
    );
  }
  throw new MeshError(
    "MODEL_NOT_FOUND",
    `There is no model ${quote(asked)} here. List the models, or ask your platform team to add it.`,
    { field: "model", metadata: { model: asked } },
  );
}

function assertParameters(verdict: NameVerdict, ask: ChatAsk | EmbedAsk): void {
  const denied = findDeniedParameter(verdict, ask);
  if (denied === undefined) return;
  const { parameter, policy } = denied;
  throw new MeshError(
    "PARAMETER_NOT_ALLOWED",
    `${policy} does not allow the parameter ${parameter}. Leave it out.`,
    { field: parameter, metadata: { policy, parameter } },
  );
}

/** A caller's word, short enough to be said back. */
function quote(word: string): string {
  return JSON.stringify(word.length > 100 ? `${word.slice(0, 100)}…` : word);
}
