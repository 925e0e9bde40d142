import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { systemClock } from "../mesh/clock.ts";
import { openSqliteStore, type SqliteStore } from "../store/sqlite-store.ts";
import { bootstrap } from "./bootstrap.ts";
import { createFirstRunMessage } from "./first-run-message.ts";
import { hashSecret } from "./key-secret.ts";
import { modelKind, policyKind, providerKind } from "./kinds.ts";
import { validate } from "./validate.ts";
import { vendors } from "./vendors.ts";
import { createWorldKeeper } from "./world.ts";

let dir: string;
let store: SqliteStore;
const context = () => ({ store, clock: systemClock });
const given = {
  WEIR_ADMIN_KEY: `wk_${"a".repeat(40)}`,
  WEIR_BOOTSTRAP_KEY: `wk_${"b".repeat(40)}`,
};
const allVendors = Object.fromEntries(vendors.map((vendor) => [vendor.keyVariable, "sk-x"]));

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), "weir-bootstrap-"));
  store = await openSqliteStore({ path: join(dir, "weir.db") });
  await store.migrate();
});
afterEach(async () => {
  await store.close();
  rmSync(dir, { recursive: true });
});

describe("bootstrap()", () => {
  it("makes keys, the simulation and a policy, once", async () => {
    const report = await bootstrap(context(), { env: {}, engines: [] });
    expect(report.models).toEqual(["sim/echo", "sim/text", "sim/tools", "sim/embed"]);
    expect(report.providers).toEqual(["providers/sim"]);
    for (const key of [report.keys?.admin, report.keys?.first]) {
      expect(key?.given).toBe(false);
      const found = await store.findKeyBySecret(hashSecret(key?.secret ?? ""));
      expect(found?.name).toBe(key?.name);
    }
    expect(await store.get("policies/first-team-may-use-everything")).toBeDefined();
    const second = await bootstrap(context(), { env: {}, engines: [] });
    expect(second).toEqual({ keys: undefined, providers: [], models: [], notes: [] });
    expect(await store.revision()).toBe(1);
  });

  it("registers vendors by their variables, and says which cannot be served yet", async () => {
    const env = {
      ...allVendors,
      GEMINI_API_KEY: "x",
      OPENAI_BASE_URL: "https://openai.example/v1/",
      ANTHROPIC_BASE_URL: "https://anthropic.example",
    };
    const report = await bootstrap(context(), { env, engines: [] });
    expect(report.models).toContain("openai/*");
    expect(report.models).toContain("xai/*");
    expect(report.notes).toEqual([
      "GEMINI_API_KEY is set: the dialect gemini is not there yet, so it was left out.",
    ]);
    const provider = async (name: string) => {
      const stored = await store.get(name);
      return stored && providerKind.unwrap(stored.body);
    };
    expect(await provider("providers/openai")).toMatchObject({
      dialect: "openai",
      baseUrls: ["https://openai.example/v1"],
      credential: { source: { case: "env", value: "OPENAI_API_KEY" } },
    });
    expect((await provider("providers/anthropic"))?.baseUrls).toEqual([
      "https://anthropic.example/v1",
    ]);
  });

  it("registers local engines with the models that it can name", async () => {
    const engines = [
      { name: "ollama", baseUrl: "http://127.0.0.1:11434/v1", models: ["llama3.2:1b", "ä", "x*"] },
      { name: "ollama", baseUrl: "http://127.0.0.1:1/v1", models: [] },
    ];
    const report = await bootstrap(context(), { env: {}, engines });
    expect(report.models).toContain("ollama/llama3.2:1b");
    expect(report.notes).toEqual([
      "2 models of ollama were left out.",
      "The engine at http://127.0.0.1:1/v1 was left out: its name is taken or unusable.",
    ]);
  });

  it("makes nothing that AdminService would refuse or warn of", async () => {
    const engines = [{ name: "vllm", baseUrl: "http://127.0.0.1:8000/v1", models: ["Qwen/Qwen3"] }];
    await bootstrap(context(), { env: allVendors, engines });
    const { current: world } = await createWorldKeeper(store);
    const at = { world, wallMs: systemClock.wallMs() };
    for (const model of world.models.values()) expect(validate(modelKind, model, at)).toEqual([]);
    for (const each of world.providers.values()) {
      expect(validate(providerKind, each, at)).toEqual([]);
    }
    for (const each of world.policies.values()) expect(validate(policyKind, each, at)).toEqual([]);
  });

  it("takes given keys, shows them no more, and only mentions others later", async () => {
    const report = await bootstrap(context(), { env: given, engines: [] });
    expect(report.keys?.admin).toMatchObject({ secret: given.WEIR_ADMIN_KEY, given: true });
    const same = await bootstrap(context(), { env: given, engines: [] });
    expect(same.notes).toEqual([]);
    const other = { ...given, WEIR_ADMIN_KEY: `wk_${"c".repeat(40)}` };
    const later = await bootstrap(context(), { env: other, engines: [] });
    expect(later.keys).toBeUndefined();
    expect(later.notes.join()).toMatch(/WEIR_ADMIN_KEY is not the secret of any key here/);
    expect(await store.findKeyBySecret(hashSecret(other.WEIR_ADMIN_KEY))).toBeUndefined();
  });

  for (const env of [
    { WEIR_ADMIN_KEY: "wk_short" },
    { WEIR_BOOTSTRAP_KEY: `sk_${"a".repeat(40)}` },
    { ...given, WEIR_BOOTSTRAP_KEY: given.WEIR_ADMIN_KEY },
  ]) {
    it(`refuses ${Object.keys(env)} that are weak or alike`, async () => {
      await expect(bootstrap(context(), { env, engines: [] })).rejects.toThrow(/WEIR_/);
      expect(await store.revision()).toBe(0);
    });
  }

  it("is done once when several instances start at once", async () => {
    const other = await openSqliteStore({ path: join(dir, "weir.db") });
    const reports = await Promise.all(
      [store, other, store, other].map((each) =>
        bootstrap({ store: each, clock: systemClock }, { env: {}, engines: [] }),
      ),
    );
    await other.close();
    expect(reports.filter((report) => report.keys !== undefined)).toHaveLength(1);
    expect(await store.revision()).toBe(1);
  });
});

describe("createFirstRunMessage()", () => {
  const doors = { address: "127.0.0.1:8080", tls: false };

  it("shows each key and the lines to try", async () => {
    const report = await bootstrap(context(), { env: {}, engines: [] });
    const text = createFirstRunMessage(report, doors).join("\n");
    expect(text).toContain(report.keys?.admin.secret);
    expect(text).toContain(report.keys?.first.secret);
    for (const line of ["curl http://127.0.0.1:8080/v1/chat", "buf curl", "grpcurl", "openai"]) {
      expect(text).toContain(line);
    }
  });

  it("does not repeat keys that were given, and says nothing later", async () => {
    const report = await bootstrap(context(), { env: given, engines: [] });
    const text = createFirstRunMessage(report, doors).join("\n");
    expect(text).not.toContain(given.WEIR_ADMIN_KEY);
    expect(text).toContain("$WEIR_BOOTSTRAP_KEY");
    const later = await bootstrap(context(), { env: given, engines: [] });
    expect(createFirstRunMessage(later, doors)).toEqual([]);
  });
});
