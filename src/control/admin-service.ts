import type { ServiceImpl } from "@connectrpc/connect";
import type { AdminService } from "../../gen/weir/admin/v1/admin_service_pb.ts";
import type { ProxyRegistry } from "../mesh/hub.ts";
import { createTimestamp } from "../mesh/record.ts";
import type { WebhookSecret } from "./alert-message.ts";
import { createAlertMethods } from "./alert-service.ts";
import type { FaultListener } from "./connect-errors.ts";
import type { Guard } from "./guard.ts";
import { diffRevisions, listRevisions, rollbackTo } from "./history.ts";
import { createKey, rotateKey } from "./key-service.ts";
import { keyKind, modelKind, policyKind, providerKind, teamKind, userKind } from "./kinds.ts";
import { refuseUnbuiltRpc } from "./not-yet.ts";
import { releaseQuota } from "./quota-release.ts";
import { getQuotaStatus } from "./quota-status.ts";
import type { ResourceContext } from "./resources.ts";
import { createStandardMethods } from "./standard-methods.ts";

/** What the admin service stands on. */
export interface AdminContext extends ResourceContext {
  readonly registry: ProxyRegistry;
  readonly webhookSecret: WebhookSecret;
  /** Told of what went wrong, and of what was done that no history shows; for the log. */
  readonly onFault: FaultListener;
  readonly onNotice: FaultListener;
}

/**
 * The RPCs that edit resources: each names its kind and its field; what they do is written once, in
 * resources.ts.
 */
export function createAdminService(
  context: AdminContext,
  guard: Guard,
): ServiceImpl<typeof AdminService> {
  return {
    ...createPeopleMethods(context, guard),
    ...createServingMethods(context, guard),
    ...createOtherMethods(context, guard),
    ...createAlertMethods(context, guard),
  };
}

function createPeopleMethods(context: AdminContext, { unary }: Guard) {
  const teams = createStandardMethods(context, teamKind);
  const users = createStandardMethods(context, userKind);
  const keys = createStandardMethods(context, keyKind);
  return {
    getTeam: unary("GetTeam", async (by, r) => ({ team: await teams.get(by, r) })),
    listTeams: unary("ListTeams", async (by, r) => {
      const { items, nextPageToken } = await teams.list(by, r);
      return { teams: [...items], nextPageToken };
    }),
    createTeam: unary("CreateTeam", async (by, r) => {
      const { resource, result } = await teams.create(by, r.team, r);
      return { team: resource, result };
    }),
    updateTeam: unary("UpdateTeam", async (by, r) => {
      const { resource, result } = await teams.update(by, r.team, r);
      return { team: resource, result };
    }),
    deleteTeam: unary("DeleteTeam", async (by, r) => ({ result: await teams.delete(by, r) })),

    getUser: unary("GetUser", async (by, r) => ({ user: await users.get(by, r) })),
    listUsers: unary("ListUsers", async (by, r) => {
      const { items, nextPageToken } = await users.list(by, r);
      return { users: [...items], nextPageToken };
    }),
    createUser: unary("CreateUser", async (by, r) => {
      const { resource, result } = await users.create(by, r.user, r);
      return { user: resource, result };
    }),
    updateUser: unary("UpdateUser", async (by, r) => {
      const { resource, result } = await users.update(by, r.user, r);
      return { user: resource, result };
    }),
    deleteUser: unary("DeleteUser", async (by, r) => ({ result: await users.delete(by, r) })),

    getKey: unary("GetKey", async (by, r) => ({ key: await keys.get(by, r) })),
    listKeys: unary("ListKeys", async (by, r) => {
      const { items, nextPageToken } = await keys.list(by, r, r.parent);
      return { keys: [...items], nextPageToken };
    }),
    createKey: unary("CreateKey", (by, r) => createKey(context, by, r)),
    updateKey: unary("UpdateKey", async (by, r) => {
      const { resource, result } = await keys.update(by, r.key, r);
      return { key: resource, result };
    }),
    deleteKey: unary("DeleteKey", async (by, r) => ({ result: await keys.delete(by, r) })),
    rotateKey: unary("RotateKey", (by, r) => rotateKey(context, by, r)),
  } satisfies Partial<ServiceImpl<typeof AdminService>>;
}

function createServingMethods(context: AdminContext, { unary }: Guard) {
  const providers = createStandardMethods(context, providerKind);
  const models = createStandardMethods(context, modelKind);
  const policies = createStandardMethods(context, policyKind);
  return {
    getProvider: unary("GetProvider", async (by, r) => ({ provider: await providers.get(by, r) })),
    listProviders: unary("ListProviders", async (by, r) => {
      const { items, nextPageToken } = await providers.list(by, r);
      return { providers: [...items], nextPageToken };
    }),
    createProvider: unary("CreateProvider", async (by, r) => {
      const { resource, result } = await providers.create(by, r.provider, r);
      return { provider: resource, result };
    }),
    updateProvider: unary("UpdateProvider", async (by, r) => {
      const { resource, result } = await providers.update(by, r.provider, r);
      return { provider: resource, result };
    }),
    deleteProvider: unary("DeleteProvider", async (by, r) => ({
      result: await providers.delete(by, r),
    })),

    getModel: unary("GetModel", async (by, r) => ({ model: await models.get(by, r) })),
    listModels: unary("ListModels", async (by, r) => {
      const { items, nextPageToken } = await models.list(by, r);
      return { models: [...items], nextPageToken };
    }),
    createModel: unary("CreateModel", async (by, r) => {
      const { resource, result } = await models.create(by, r.model, r);
      return { model: resource, result };
    }),
    updateModel: unary("UpdateModel", async (by, r) => {
      const { resource, result } = await models.update(by, r.model, r);
      return { model: resource, result };
    }),
    deleteModel: unary("DeleteModel", async (by, r) => ({ result: await models.delete(by, r) })),

    getPolicy: unary("GetPolicy", async (by, r) => ({ policy: await policies.get(by, r) })),
    listPolicies: unary("ListPolicies", async (by, r) => {
      const { items, nextPageToken } = await policies.list(by, r, r.parent);
      return { policies: [...items], nextPageToken };
    }),
    createPolicy: unary("CreatePolicy", async (by, r) => {
      const { resource, result } = await policies.create(by, r.policy, r);
      return { policy: resource, result };
    }),
    updatePolicy: unary("UpdatePolicy", async (by, r) => {
      const { resource, result } = await policies.update(by, r.policy, r);
      return { policy: resource, result };
    }),
    deletePolicy: unary("DeletePolicy", async (by, r) => ({
      result: await policies.delete(by, r),
    })),
  } satisfies Partial<ServiceImpl<typeof AdminService>>;
}

function createOtherMethods({ store, registry, ...rest }: AdminContext, { unary }: Guard) {
  const context = { store, ...rest };
  return {
    listRevisions: unary("ListRevisions", async (_by, r) => {
      const { items, nextPageToken } = await listRevisions(store, r);
      return { changes: [...items], nextPageToken };
    }),
    diffRevisions: unary("DiffRevisions", async (_by, r) => ({
      changes: [...(await diffRevisions(context, r))],
    })),
    rollbackTo: unary("RollbackTo", async (by, r) => {
      const { changes, result } = await rollbackTo(context, by, r);
      return { changes: [...changes], result };
    }),
    simulatePolicy: unary("SimulatePolicy", async () => refuseUnbuiltRpc("SimulatePolicy")),
    explainRoute: unary("ExplainRoute", async () => refuseUnbuiltRpc("ExplainRoute")),
    getQuotaStatus: unary("GetQuotaStatus", async (by, r) => getQuotaStatus(context, by, r)),
    resumeQuota: unary("ResumeQuota", async () => {
      const resumed = await store.resumeQuota();
      return { suspendedReason: resumed?.reason ?? "" };
    }),
    releaseQuota: unary("ReleaseQuota", (by, r) => releaseQuota({ ...context, registry }, by, r)),
    listProxies: unary("ListProxies", async () => ({
      proxies: registry.list().map((proxy) => ({
        proxyId: proxy.proxyId,
        version: proxy.version,
        listen: proxy.listen,
        revision: BigInt(proxy.revision),
        connectTime: createTimestamp(proxy.connectedWallMs),
        refusedRevision: BigInt(proxy.refusedRevision),
        refusal: proxy.refusal,
        faults: [...proxy.faults],
      })),
    })),
    getSelf: unary("GetSelf", async (by) => ({
      key: by.key.name,
      team: by.team,
      user: by.user,
      role: by.role,
    })),
  } satisfies Partial<ServiceImpl<typeof AdminService>>;
}
