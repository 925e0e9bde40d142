import { globSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { toJsonString } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { Agent, request } from "undici";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  CreateProviderResponseSchema,
  DiffRevisionsResponseSchema,
  GetProviderResponseSchema,
  ListProvidersResponseSchema,
  ListRevisionsResponseSchema,
  UpdateProviderResponseSchema,
} from "../../gen/weir/admin/v1/admin_service_pb.ts";
import { until } from "../support/own-process.ts";
import { chat, post } from "../support/rest-calls.ts";
import {
  ADMIN_KEY,
  endAll,
  KEY,
  type SimProcess,
  startSim,
  startWeir,
  type WeirProcess,
} from "../support/weir-process.ts";

const WAIT_MS = 60_000;
const WORKERS = 2;
/** With two workers, the chance that none of these connections meets one of them is 2⁻¹⁵. */
const CONNECTIONS = 16;
const SECRET = "sk-upstream-5e1f-never-to-be-seen-again";

let weir: WeirProcess;
let sim: SimProcess;

beforeAll(async () => {
  [weir, sim] = await Promise.all([startWeir({ workers: WORKERS }), startSim()]);
});
afterAll(endAll);

/** The answers of as many fresh connections, at once. */
function askAll(fields: Readonly<Record<string, unknown>>, key = KEY) {
  return Promise.all(Array.from({ length: CONNECTIONS }, () => chat(weir, fields, { key })));
}

async function expectAll(
  status: number,
  fields: Readonly<Record<string, unknown>> = {},
  key = KEY,
): Promise<void> {
  const answers = await askAll(fields, key);
  expect(answers.map((answer) => answer.status)).toEqual(Array(CONNECTIONS).fill(status));
}

async function codeOf(failing: Promise<unknown>): Promise<Code> {
  return ConnectError.from(await failing.catch((thrown: unknown) => thrown)).code;
}

describe("a key", () => {
  const name = "teams/first/keys/journey";
  let secret: string;

  it("works at every worker as soon as it is made", async () => {
    const made = await weir.admin.createKey({ key: { name } });
    secret = made.secret;
    expect(secret).toMatch(/^wk_.{32,}/);
    expect(made.result).toMatchObject({ proxiesConfirmed: WORKERS, proxiesConnected: WORKERS });
    await expectAll(200, {}, secret);
  });

  it("works with both secrets while it is rotated, then with the new one alone", async () => {
    const overlap = { seconds: 600n, nanos: 0 };
    const rotated = await weir.admin.rotateKey({ name, overlap });
    await expectAll(200, {}, secret);
    await expectAll(200, {}, rotated.secret);
    const soon = { seconds: 1n, nanos: 0 };
    const again = await weir.admin.rotateKey({ name, overlap: soon });
    await until("the old secret has ended", WAIT_MS, async () => {
      return (await chat(weir, {}, { key: rotated.secret })).status === 401;
    });
    await expectAll(401, {}, secret);
    await expectAll(401, {}, rotated.secret);
    await expectAll(200, {}, again.secret);
    const last = await weir.admin.rotateKey({ name, overlap: { seconds: 0n, nanos: 0 } });
    await expectAll(401, {}, again.secret);
    secret = last.secret;
  });

  it("is refused at every worker as soon as it is disabled, and serves again after", async () => {
    const updateMask = { paths: ["disabled"] };
    await weir.admin.updateKey({ key: { name, disabled: true }, updateMask });
    await expectAll(401, {}, secret);
    const [refused] = await askAll({}, secret);
    expect(refused?.json.error.code).toBe("credential_disabled");
    await weir.admin.updateKey({ key: { name, disabled: false }, updateMask });
    await expectAll(200, {}, secret);
  });

  it("is refused once it has expired", async () => {
    const seconds = BigInt(Math.floor(Date.now() / 1000) - 1);
    await weir.admin.updateKey({
      key: { name, expireTime: { seconds, nanos: 0 } },
      updateMask: { paths: ["expire_time"] },
    });
    const [refused] = await askAll({}, secret);
    expect(refused).toMatchObject({ status: 401, json: { error: { code: "credential_expired" } } });
    await weir.admin.updateKey({ key: { name }, updateMask: { paths: ["expire_time"] } });
    await expectAll(200, {}, secret);
  });

  it("is limited to its own models", async () => {
    await weir.admin.updateKey({
      key: { name, allowedModels: ["sim/text"] },
      updateMask: { paths: ["allowed_models"] },
    });
    await expectAll(403, { model: "sim/echo" }, secret);
    await expectAll(200, { model: "sim/text" }, secret);
  });

  it("is refused on open connections too as soon as it is deleted", async () => {
    const dispatcher = new Agent({ connections: 1 });
    const fields = { model: "sim/text" };
    expect((await chat(weir, fields, { key: secret, dispatcher })).status).toBe(200);
    await weir.admin.deleteKey({ name });
    expect((await chat(weir, fields, { key: secret, dispatcher })).status).toBe(401);
    await expectAll(401, fields, secret);
    await dispatcher.close();
  });
});

describe("an access policy", () => {
  it("takes a model away from everyone at once, and gives it back", async () => {
    const name = "policies/no-text";
    await weir.admin.createPolicy({
      policy: { name, rule: { case: "access", value: { denyModels: ["sim/text"] } } },
    });
    const answers = await askAll({ model: "sim/text" });
    for (const { status, json } of answers) {
      expect([status, json.error.code]).toEqual([403, "model_not_allowed"]);
    }
    await expectAll(200, { model: "sim/echo" });
    await weir.admin.deletePolicy({ name });
    await expectAll(200, { model: "sim/text" });
  });

  it("denies parameters", async () => {
    const name = "policies/no-seed";
    await weir.admin.createPolicy({
      policy: { name, rule: { case: "access", value: { denyParameters: ["seed"] } } },
    });
    const [refused] = await askAll({ seed: 1 });
    expect(refused).toMatchObject({
      status: 403,
      json: { error: { code: "parameter_not_allowed" } },
    });
    await weir.admin.deletePolicy({ name });
  });
});

describe("what is designed and not there yet", () => {
  const rules = [
    { case: "cache", value: {} },
    { case: "guard", value: {} },
    { case: "defaults", value: {} },
    { case: "routing", value: {} },
  ] as const;
  it.each(rules)("refuses a $case policy with UNIMPLEMENTED", async (rule) => {
    const creating = weir.admin.createPolicy({ policy: { name: "policies/later", rule } });
    expect(await codeOf(creating)).toBe(Code.Unimplemented);
    expect(await codeOf(weir.admin.getPolicy({ name: "policies/later" }))).toBe(Code.NotFound);
  });
});

describe("routes", () => {
  beforeAll(async () => {
    const provider = { name: "providers/upstream", dialect: "openai", baseUrls: [sim.baseUrl] };
    await weir.admin.createProvider({ provider });
  });

  const up = { provider: "providers/upstream", upstreamModel: "echo" };
  const inside = { provider: "providers/sim", upstreamModel: "echo" };
  const broken = { provider: "providers/upstream", upstreamModel: "echo?fault=status:500" };

  it("fall back to another provider, and say so", async () => {
    await weir.admin.createModel({
      model: {
        name: "models/route/fallback",
        retriesPerTarget: 0,
        targets: [broken, { ...inside, priority: 1 }],
      },
    });
    const { status, headers, requestId } = await chat(weir, { model: "route/fallback" });
    expect(status).toBe(200);
    expect(headers["x-weir-target"]).toBe("sim/echo");
    const { attempts } = await weir.record(requestId);
    expect(attempts).toMatchObject([
      { provider: "providers/upstream", httpStatus: 500, errorReason: "UPSTREAM_FAILED" },
      { provider: "providers/sim", errorReason: "", committed: true },
    ]);
  });

  it("go on with the model's fallbacks, and with those of the request", async () => {
    const model = { name: "models/route/broken", targets: [broken], retriesPerTarget: 0 };
    await weir.admin.createModel({ model });
    expect((await chat(weir, { model: "route/broken" })).status).toBe(502);
    const asked = await chat(weir, { model: "route/broken", models: ["sim/echo"] });
    expect([asked.status, asked.json.choices[0].message.content]).toEqual([200, "one two"]);
    await weir.admin.updateModel({
      model: { ...model, fallbacks: ["sim/echo"] },
      updateMask: { paths: ["fallbacks"] },
    });
    await expectAll(200, { model: "route/broken" });
  });

  it("share out by weight, and a new weight counts at once", async () => {
    const name = "models/route/weighted";
    const targets = (left: number, right: number) => [
      { ...up, weight: left },
      { ...inside, weight: right },
    ];
    await weir.admin.createModel({ model: { name, targets: targets(3, 1) } });
    const asked = 400;
    const dispatcher = new Agent({ connections: 8 });
    const counts = { upstream: 0, sim: 0 };
    const answers = await Promise.all(
      Array.from({ length: asked }, () => chat(weir, { model: "route/weighted" }, { dispatcher })),
    );
    await dispatcher.close();
    for (const { headers } of answers) {
      if (headers["x-weir-target"] === "upstream/echo") counts.upstream++;
      else counts.sim++;
    }
    // Five standard deviations of a binomial.
    const spread = 5 * Math.sqrt(asked * 0.75 * 0.25);
    expect(Math.abs(counts.upstream - asked * 0.75)).toBeLessThan(spread);
    await weir.admin.updateModel({
      model: { name, targets: targets(0, 1) },
      updateMask: { paths: ["targets"] },
    });
    const moved = await askAll({ model: "route/weighted" });
    expect(new Set(moved.map(({ headers }) => headers["x-weir-target"]))).toEqual(
      new Set(["sim/echo"]),
    );
  });

  it("do without a provider as soon as it is disabled", async () => {
    const model = { name: "models/route/alone", targets: [up] };
    await weir.admin.createModel({ model });
    await expectAll(200, { model: "route/alone" });
    const updateMask = { paths: ["disabled"] };
    const name = "providers/upstream";
    await weir.admin.updateProvider({ provider: { name, disabled: true }, updateMask });
    await expectAll(503, { model: "route/alone" });
    await weir.admin.updateProvider({ provider: { name, disabled: false }, updateMask });
    await expectAll(200, { model: "route/alone" });
  });
});

describe("a provider's secret", () => {
  const name = "providers/secretive";
  const credential = { source: { case: "secret" as const, value: SECRET } };

  it("comes back in no answer of the admin service", async () => {
    const { admin } = weir;
    const provider = { name, dialect: "openai", baseUrls: [sim.baseUrl], credential };
    const answers = [
      toJsonString(CreateProviderResponseSchema, await admin.createProvider({ provider })),
      toJsonString(
        UpdateProviderResponseSchema,
        await admin.updateProvider({
          provider: { name, displayName: "Secretive" },
          updateMask: { paths: ["display_name"] },
        }),
      ),
      toJsonString(GetProviderResponseSchema, await admin.getProvider({ name })),
      toJsonString(ListProvidersResponseSchema, await admin.listProviders({})),
      toJsonString(ListRevisionsResponseSchema, await admin.listRevisions({})),
      toJsonString(DiffRevisionsResponseSchema, await admin.diffRevisions({ fromRevision: 1n })),
    ];
    for (const answer of answers) expectWithoutSecret(answer, "an answer");
    const rest = await post(
      weir,
      "/weir.admin.v1.AdminService/GetProvider",
      { name },
      {
        key: ADMIN_KEY,
      },
    );
    expect(rest.json.provider.name).toBe(name);
    expectWithoutSecret(rest.text, "an answer in JSON");
  });

  it("is used, and stands in no file and no log in the clear", async () => {
    const targets = [{ provider: name, upstreamModel: "echo" }];
    await weir.admin.createModel({ model: { name: "models/secretive", targets } });
    await expectAll(200, { model: "secretive" });
    const changedMs = Date.now();
    const failing = [{ provider: name, upstreamModel: "echo?fault=status:401" }];
    await weir.admin.createModel({ model: { name: "models/secretive/fails", targets: failing } });
    const { text } = await chat(weir, { model: "secretive/fails" });
    expectWithoutSecret(text, "an error");
    const snapshot = join(weir.dataDir, "proxies/0/snapshot.sealed");
    await until("the snapshot is written anew", WAIT_MS, () => {
      return (statSync(snapshot, { throwIfNoEntry: false })?.mtimeMs ?? 0) > changedMs;
    });
    // What is gone already was a file on its way to another name.
    const files = globSync(join(weir.dataDir, "**")).filter((path) =>
      statSync(path, { throwIfNoEntry: false })?.isFile(),
    );
    expect(files.map((path) => path.slice(weir.dataDir.length + 1))).toEqual(
      expect.arrayContaining(["weir.db", "proxies/0/snapshot.sealed"]),
    );
    expect(files.some((path) => /proxies\/\d+\/journal\//.test(path))).toBe(true);
    for (const path of files) expectWithoutSecret(readUnlessGone(path), path);
    expectWithoutSecret(weir.output, "the log");
    expect(weir.output, "no prompt is logged").not.toContain("one two");
  });

  /** A snapshot is written to another name first: that file is gone, and the snapshot is there. */
  function readUnlessGone(path: string): Buffer {
    try {
      return readFileSync(path);
    } catch (thrown) {
      if (thrown instanceof Error && "code" in thrown && thrown.code === "ENOENT") {
        return Buffer.alloc(0);
      }
      throw thrown;
    }
  }

  function expectWithoutSecret(text: string | Buffer, where: string): void {
    for (const form of [
      SECRET,
      KEY,
      ADMIN_KEY,
      Buffer.from(SECRET).toString("base64").slice(0, -4),
      Buffer.from(SECRET).toString("hex"),
    ]) {
      expect(text.includes(form), `${where} holds the secret`).toBe(false);
    }
  }
});

describe("a secret that is not where it should be", () => {
  it("keeps its provider from being used, is told of, and hurts nothing else", async () => {
    const name = "providers/forgetful";
    const credential = { source: { case: "env" as const, value: "NOT_SET_ANYWHERE" } };
    await weir.admin.createProvider({
      provider: { name, dialect: "openai", baseUrls: [sim.baseUrl], credential },
    });
    const targets = [{ provider: name, upstreamModel: "echo" }];
    await weir.admin.createModel({ model: { name: "models/forgetful", targets } });
    await expectAll(503, { model: "forgetful" });
    await expectAll(200);
    await until("the control plane is told", WAIT_MS, async () => {
      const { proxies } = await weir.admin.listProxies({});
      return proxies.every(({ faults }) => faults.join().includes("NOT_SET_ANYWHERE"));
    });
    const ready = await request(`${weir.url}/readyz`);
    expect([ready.statusCode, await ready.body.text()]).toEqual([
      200,
      expect.stringContaining("NOT_SET_ANYWHERE"),
    ]);
  });
});

describe("a second start", () => {
  it("prints no secret, and has kept everything", async () => {
    expect(await weir.stop()).toBe(0);
    const { dataDir } = weir;
    const generated = { WEIR_ADMIN_KEY: "", WEIR_BOOTSTRAP_KEY: "" };
    const again = await startWeir({ dataDir, env: generated, workers: WORKERS });
    expect(again.output).not.toMatch(/wk_|administrative key/);
    weir = again;
    await expectAll(200, { model: "secretive" });
    expect(await again.stop()).toBe(0);
  });
});
