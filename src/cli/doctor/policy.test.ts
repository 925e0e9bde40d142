import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { describe, expect, it } from "vitest";
import { ListProxiesResponse_ProxySchema } from "../../../gen/weir/admin/v1/admin_service_pb.ts";
import { ModelSchema } from "../../../gen/weir/admin/v1/model_pb.ts";
import { ProviderSchema } from "../../../gen/weir/admin/v1/provider_pb.ts";
import { KeySchema } from "../../../gen/weir/admin/v1/team_pb.ts";
import { checkKeys, checkModels, checkReach } from "./policy.ts";
import { checkProxies, listFaultyProviders } from "./proxies.ts";

const provider = (name: string, fields: object = {}) =>
  create(ProviderSchema, { name: `providers/${name}`, dialect: "openai", ...fields });
const model = (name: string, ...targets: string[]) =>
  create(ModelSchema, {
    name: `models/${name}`,
    targets: targets.map((each) => ({ provider: `providers/${each}` })),
  });
const alias = (name: string, aliasOf: string) =>
  create(ModelSchema, { name: `models/${name}`, aliasOf });

describe("checkModels()", () => {
  const providers = [provider("p"), provider("off", { disabled: true }), provider("ill")];
  const ill = new Set(["providers/ill"]);

  it("is content when each model has one target in use", () => {
    const models = [model("a", "off", "p"), alias("b", "a"), model("c/*", "p"), alias("d", "c/x")];
    expect(checkModels(models, providers, ill)[0]?.state).toBe("good");
  });

  it("names models whose providers are disabled, gone or faulty, and aliases of nothing", () => {
    const models = [
      model("a", "off"),
      model("b", "gone"),
      model("c", "ill"),
      alias("d", "none"),
      model("e", "p"),
      create(ModelSchema, { name: "models/f", disabled: true }),
    ];
    expect(checkModels(models, providers, ill)).toMatchObject([
      { state: "broken", what: "nobody can answer for models/a, models/b, models/c, models/d" },
    ]);
  });

  it("finds it doubtful that there are none", () => {
    expect(checkModels([], providers, ill)[0]?.state).toBe("doubtful");
  });
});

describe("checkKeys()", () => {
  const nowMs = 1_000_000_000_000;
  const key = (name: string, inMs: number | undefined, disabled = false) =>
    create(KeySchema, {
      name,
      disabled,
      ...(inMs === undefined ? {} : { expireTime: timestampFromMs(nowMs + inMs) }),
    });

  it("tells keys that have ended from those that will soon", () => {
    const keys = [
      key("ended", 0),
      key("off", -5, true),
      key("soon", 7 * 86_400_000),
      key("later", 7 * 86_400_000 + 1),
      key("never", undefined),
    ];
    expect(checkKeys(keys, nowMs).map(({ what }) => what)).toEqual([
      "these keys have expired: ended",
      "these keys expire within 7 days: soon",
    ]);
  });

  it("names only some of many", () => {
    const keys = Array.from({ length: 7 }, (_, at) => key(`k${at}`, -1));
    expect(checkKeys(keys, nowMs)[0]?.what).toMatch(/: k0, k1, k2, k3, k4 and 2 more$/);
  });
});

describe("checkProxies()", () => {
  const proxy = (proxyId: string, revision: bigint, fields: object = {}) =>
    create(ListProxiesResponse_ProxySchema, { proxyId, revision, version: "1", ...fields });

  it("is content when all hold the newest revision", () => {
    expect(checkProxies([proxy("a", 5n), proxy("b", 5n)], 4n)).toEqual([
      { state: "good", what: "2 proxies are connected, at revision 5", mend: "" },
    ]);
  });

  it("tells when there is none, one behind, one that refuses, and several versions", () => {
    expect(checkProxies([], 1n)[0]?.state).toBe("broken");
    const refusing = { refusedRevision: 6n, refusal: "models/x: no." };
    const found = checkProxies([proxy("a", 6n, { version: "2" }), proxy("b", 5n, refusing)], 6n);
    expect(found.map(({ state, what }) => `${state} ${what}`)).toEqual([
      "broken b refuses revision 6: models/x: no.",
      "broken behind revision 6: b at 5",
      "doubtful proxies of several versions are connected: 2, 1",
    ]);
  });

  it("says a fault of several proxies once", () => {
    const faults = ["The environment variable X is not set: put the secret of providers/p there."];
    const proxies = [proxy("a", 1n, { faults }), proxy("b", 1n, { faults })];
    expect(checkProxies(proxies, 1n).filter(({ state }) => state === "broken")).toHaveLength(1);
    expect(listFaultyProviders(proxies)).toEqual(new Set(["providers/p"]));
    expect(listFaultyProviders([...proxies, proxy("c", 1n)])).toEqual(new Set());
  });
});

describe("checkReach()", () => {
  it("tries only what is in use and has an address", async () => {
    const found = await checkReach([
      provider("dead", { baseUrls: ["http://127.0.0.1:1/v1"] }),
      provider("off", { baseUrls: ["http://127.0.0.1:1/v1"], disabled: true }),
      provider("odd", { dialect: "odd", baseUrls: ["http://127.0.0.1:1/v1"] }),
      provider("sim", { dialect: "sim" }),
    ]);
    expect(found.map(({ state, what }) => `${state} ${what}`)).toEqual([
      "broken providers/dead cannot be reached from here at 127.0.0.1:1 (ECONNREFUSED)",
    ]);
  });
});
