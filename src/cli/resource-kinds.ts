import { ModelSchema } from "../../gen/weir/admin/v1/model_pb.ts";
import { Policy_Mode, PolicySchema } from "../../gen/weir/admin/v1/policy_pb.ts";
import { ProviderSchema } from "../../gen/weir/admin/v1/provider_pb.ts";
import { KeySchema, TeamSchema, UserSchema } from "../../gen/weir/admin/v1/team_pb.ts";
import { formatTime } from "./quantities.ts";
import { createKind, type ResourceKind } from "./resource-kind.ts";
import {
  formatCredential,
  formatMatch,
  formatRule,
  formatState,
  formatStrategy,
  formatTargets,
} from "./resource-words.ts";
import { formatRole } from "./role-words.ts";
import { UsageError } from "./usage-error.ts";

const name = { title: "NAME" };
const state = { title: "STATE" };

const team = createKind({
  word: "team",
  plural: "teams",
  title: "Team",
  form: "teams/{team}",
  pattern: /^teams\/[^/]+$/,
  prefix: "teams/",
  schema: TeamSchema,
  columns: [name, { title: "PARENT" }, { title: "MEMBERS", right: true }, state],
  cells: (body) => [
    body.name,
    body.name === "teams/root" ? "-" : body.parent || "teams/root",
    String(body.members.length),
    formatState(body),
  ],
  list: async (admin, page) => {
    const { teams, nextPageToken } = await admin.listTeams(page);
    return { items: teams, nextPageToken };
  },
  get: async (admin, each) => (await admin.getTeam({ name: each })).team,
  put: async (admin, body, options) => {
    const answer = await admin.updateTeam({ team: body, options, allowMissing: true });
    return { body: answer.team, result: answer.result };
  },
  delete: async (admin, each, options) => (await admin.deleteTeam({ name: each, options })).result,
});

const user = createKind({
  word: "user",
  plural: "users",
  title: "User",
  form: "users/{user}",
  pattern: /^users\/[^/]+$/,
  prefix: "users/",
  schema: UserSchema,
  columns: [name, { title: "DISPLAY NAME" }, { title: "EMAIL" }, state],
  cells: (body) => [body.name, body.displayName || "-", body.email || "-", formatState(body)],
  list: async (admin, page) => {
    const { users, nextPageToken } = await admin.listUsers(page);
    return { items: users, nextPageToken };
  },
  get: async (admin, each) => (await admin.getUser({ name: each })).user,
  put: async (admin, body, options) => {
    const answer = await admin.updateUser({ user: body, options, allowMissing: true });
    return { body: answer.user, result: answer.result };
  },
  delete: async (admin, each, options) => (await admin.deleteUser({ name: each, options })).result,
});

/** The kind whose secrets have commands of their own. */
export const keyKind = createKind({
  word: "key",
  plural: "keys",
  title: "Key",
  form: "teams/{team}/keys/{key}",
  pattern: /^teams\/[^/]+\/keys\/[^/]+$/,
  prefix: undefined,
  schema: KeySchema,
  columns: [
    name,
    { title: "PREFIX" },
    { title: "USER" },
    { title: "ROLE" },
    { title: "EXPIRES" },
    { title: "LAST USED" },
    state,
  ],
  cells: (body) => [
    body.name,
    body.prefix || "-",
    body.user || "-",
    formatRole(body.adminRole),
    body.expireTime === undefined ? "never" : formatTime(body.expireTime),
    body.lastUsedTime === undefined ? "never" : formatTime(body.lastUsedTime),
    formatState(body),
  ],
  list: async (admin, { parent, ...page }) => {
    const order = { ...page, parent: parent || "teams/-" };
    const { keys, nextPageToken } = await admin.listKeys(order);
    return { items: keys, nextPageToken };
  },
  get: async (admin, each) => (await admin.getKey({ name: each })).key,
  put: async (admin, body, options) => {
    const answer = await admin.updateKey({ key: body, options, allowMissing: true });
    return { body: answer.key, result: answer.result };
  },
  delete: async (admin, each, options) => (await admin.deleteKey({ name: each, options })).result,
});

const provider = createKind({
  word: "provider",
  plural: "providers",
  title: "Provider",
  form: "providers/{provider}",
  pattern: /^providers\/[^/]+$/,
  prefix: "providers/",
  schema: ProviderSchema,
  columns: [
    name,
    { title: "DIALECT" },
    { title: "BASE URL" },
    { title: "CREDENTIAL" },
    { title: "REGION" },
    state,
  ],
  cells: (body) => [
    body.name,
    body.dialect,
    body.baseUrls.join(" ") || "-",
    formatCredential(body),
    body.region || "-",
    formatState(body),
  ],
  list: async (admin, page) => {
    const { providers, nextPageToken } = await admin.listProviders(page);
    return { items: providers, nextPageToken };
  },
  get: async (admin, each) => (await admin.getProvider({ name: each })).provider,
  put: async (admin, body, options) => {
    const answer = await admin.updateProvider({ provider: body, options, allowMissing: true });
    return { body: answer.provider, result: answer.result };
  },
  delete: async (admin, each, options) =>
    (await admin.deleteProvider({ name: each, options })).result,
});

const model = createKind({
  word: "model",
  plural: "models",
  title: "Model",
  form: "models/{model}",
  pattern: /^models\/.+$/,
  prefix: "models/",
  schema: ModelSchema,
  columns: [name, { title: "TARGETS" }, { title: "STRATEGY" }, { title: "FALLBACKS" }, state],
  cells: (body) => [
    body.name,
    formatTargets(body),
    formatStrategy(body),
    body.fallbacks.join(",") || "-",
    formatState(body),
  ],
  list: async (admin, page) => {
    const { models, nextPageToken } = await admin.listModels(page);
    return { items: models, nextPageToken };
  },
  get: async (admin, each) => (await admin.getModel({ name: each })).model,
  put: async (admin, body, options) => {
    const answer = await admin.updateModel({ model: body, options, allowMissing: true });
    return { body: answer.model, result: answer.result };
  },
  delete: async (admin, each, options) => (await admin.deleteModel({ name: each, options })).result,
});

const policy = createKind({
  word: "policy",
  plural: "policies",
  title: "Policy",
  form: "policies/{policy} or teams/{team}/policies/{policy}",
  pattern: /^(?:teams\/[^/]+\/)?policies\/[^/]+$/,
  prefix: "policies/",
  schema: PolicySchema,
  columns: [name, { title: "RULE" }, { title: "CONCERNS" }, { title: "MODE" }, state],
  cells: (body) => [
    body.name,
    formatRule(body),
    formatMatch(body.match),
    body.mode === Policy_Mode.AUDIT ? "audit" : "enforce",
    formatState(body),
  ],
  list: async (admin, { parent, ...page }) => {
    const order = { ...page, parent: parent || "-" };
    const { policies, nextPageToken } = await admin.listPolicies(order);
    return { items: policies, nextPageToken };
  },
  get: async (admin, each) => (await admin.getPolicy({ name: each })).policy,
  put: async (admin, body, options) => {
    const answer = await admin.updatePolicy({ policy: body, options, allowMissing: true });
    return { body: answer.policy, result: answer.result };
  },
  delete: async (admin, each, options) =>
    (await admin.deletePolicy({ name: each, options })).result,
});

/** Every kind, in the order in which they can be written: who is named before who names. */
export const resourceKinds: readonly ResourceKind[] = [
  user,
  team,
  provider,
  model,
  policy,
  keyKind,
];

/**
 * The kind of a word as people type it: `model`, `models`, `Model`. Undefined when there is none.
 */
export function findKind(word: string): ResourceKind | undefined {
  const typed = word.toLowerCase();
  return resourceKinds.find((kind) => kind.word === typed || kind.plural === typed);
}

/** The kind of a full name. */
export function findKindOf(fullName: string): ResourceKind | undefined {
  return resourceKinds.find((kind) => kind.owns(fullName));
}

/** A resource that a command line names. */
export interface Named {
  readonly kind: ResourceKind;
  readonly name: string;
}

/** Reads `KIND NAME…` or full names. Throws UsageError. */
export function readNames(words: readonly string[]): Named[] {
  const [first = "", ...rest] = words;
  const kind = first.includes("/") ? undefined : findKind(first);
  if (kind !== undefined && rest.length > 0) {
    return rest.map((each) => {
      const full = kind.expand(each);
      if (full !== undefined) return { kind, name: full };
      throw new UsageError(`"${each}" is no ${kind.word}: write ${kind.form}`);
    });
  }
  return words.map((each) => {
    const found = findKindOf(each);
    if (found !== undefined) return { kind: found, name: each };
    const forms = resourceKinds.map(({ form }) => form).join(", ");
    throw new UsageError(`"${each}" is no name of a resource: write ${forms}`);
  });
}

/** The kinds as people type them, for errors. */
export function listKindWords(): string {
  return resourceKinds.map((kind) => kind.plural).join(", ");
}
