import { create, toBinary } from "@bufbuild/protobuf";
import type { Client } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  AdminService,
  GetKeyResponseSchema,
  ListRevisionsResponseSchema,
} from "../../gen/weir/admin/v1/admin_service_pb.ts";
import { CredentialSchema } from "../../gen/weir/admin/v1/provider_pb.ts";
import { Role } from "../../gen/weir/admin/v1/team_pb.ts";
import { hashSecret } from "./key-secret.ts";
import { adminSecret, messageOf, openTrial, reasonOf, type Trial } from "./trial.fixture.ts";

let trial: Trial;
let admin: Client<typeof AdminService>;

beforeAll(async () => {
  trial = await openTrial();
  admin = trial.client(AdminService, adminSecret);
});
afterAll(() => trial.close());

const self = (secret: string) => reasonOf(trial.client(AdminService, secret).getSelf({}));

describe("keys", () => {
  it("shows a strong secret once, and keeps only its hash", async () => {
    const { key, secret } = await admin.createKey({ key: { name: "teams/first/keys/new" } });
    expect(secret).toMatch(/^wk_[A-Za-z0-9_-]{43}$/);
    expect(key).toMatchObject({ prefix: secret.slice(0, 10) });
    expect(key?.secrets).toHaveLength(1);
    expect(key?.secrets[0]?.sha256).toHaveLength(0);
    const read = await admin.getKey({ name: "teams/first/keys/new" });
    expect(read.key).toEqual(key);
    const history = await admin.listRevisions({});
    const hash = Buffer.from(hashSecret(secret), "hex");
    for (const bytes of [
      toBinary(GetKeyResponseSchema, read),
      toBinary(ListRevisionsResponseSchema, history),
    ]) {
      expect(Buffer.from(bytes).includes(hash)).toBe(false);
      expect(Buffer.from(bytes).includes(secret)).toBe(false);
    }
    expect(await trial.store.findKeyBySecret(hashSecret(secret))).toMatchObject({
      name: "teams/first/keys/new",
    });
    expect(await self(secret)).toBe("");
  });

  it("does not show a secret again, and says so", async () => {
    const order = { key: { name: "teams/first/keys/again" }, options: { requestId: "k-1" } };
    const first = await admin.createKey(order);
    const second = await admin.createKey(order);
    expect(first.secret).not.toBe("");
    expect(second.secret).toBe("");
    expect(second.result?.warnings.join()).toMatch(/cannot be shown again/);
  });

  it("takes a given secret, but no secret of another key", async () => {
    const secret = `wk_${"g".repeat(32)}`;
    const made = await admin.createKey({ key: { name: "teams/first/keys/given" }, secret });
    expect(made.secret).toBe(secret);
    const taken = { key: { name: "teams/first/keys/thief" }, secret };
    expect(await reasonOf(admin.createKey(taken))).toBe("ALREADY_EXISTS");
    expect(await reasonOf(admin.rotateKey({ name: "teams/first/keys/first", secret }))).toBe(
      "ALREADY_EXISTS",
    );
  });

  it("ignores secrets that a caller writes into the resource", async () => {
    const { key } = await admin.updateKey({
      key: { name: "teams/first/keys/first", prefix: "mine", displayName: "renamed" },
      updateMask: { paths: ["prefix", "secrets", "display_name"] },
    });
    expect(key).toMatchObject({ displayName: "renamed", prefix: "wk_fffffff" });
    expect(key?.secrets).toHaveLength(1);
  });

  it("rotates with an overlap, and keeps at most five secrets", async () => {
    const name = "teams/first/keys/rotated";
    const secrets = [(await admin.createKey({ key: { name } })).secret];
    for (let i = 0; i < 5; i++) secrets.unshift((await admin.rotateKey({ name })).secret);
    const { key } = await admin.getKey({ name });
    expect(key?.prefix).toBe(secrets[0]?.slice(0, 10));
    expect(key?.secrets.map((secret) => secret.prefix)).toEqual(
      secrets.slice(0, 5).map((secret) => secret.slice(0, 10)),
    );
    expect(key?.secrets.map((secret) => secret.expireTime === undefined)).toEqual([
      true,
      false,
      false,
      false,
      false,
    ]);
    for (const secret of secrets.slice(0, 5)) expect(await self(secret)).toBe("");
    expect(await self(secrets[5] ?? "")).toBe("CREDENTIAL_UNKNOWN");
  });

  it("rotates without an overlap: the old secret is out at once", async () => {
    const name = "teams/first/keys/leaked";
    const { secret } = await admin.createKey({ key: { name } });
    const rotated = await admin.rotateKey({ name, overlap: { seconds: 0n } });
    expect(await self(secret)).toBe("CREDENTIAL_UNKNOWN");
    expect(await self(rotated.secret)).toBe("");
  });

  it("refuses each kind of unusable key by its reason", async () => {
    await admin.createTeam({ team: { name: "teams/off" } });
    await admin.createUser({ user: { name: "users/off" } });
    const make = async (team: string, key: object) =>
      (
        await admin.createKey({
          key: { name: `${team}/keys/u${Object.keys(key)}`.toLowerCase(), ...key },
        })
      ).secret;
    const expired = await make("teams/off", { expireTime: { seconds: 1n } });
    const disabled = await make("teams/off", { disabled: true });
    const person = await make("teams/off", { user: "users/off" });
    const plain = await make("teams/off", {});
    expect(await self(expired)).toBe("CREDENTIAL_EXPIRED");
    expect(await self(disabled)).toBe("CREDENTIAL_DISABLED");
    expect(await self(person)).toBe("");
    await admin.updateUser({ user: { name: "users/off", disabled: true } });
    expect(await self(person)).toBe("CREDENTIAL_DISABLED");
    expect(await self(plain)).toBe("");
    await admin.updateTeam({ team: { name: "teams/off", disabled: true } });
    expect(await self(plain)).toBe("CREDENTIAL_DISABLED");
    await admin.deleteKey({ name: "teams/off/keys/u" });
    expect(await self(plain)).toBe("CREDENTIAL_UNKNOWN");
    for (const odd of ["", "x", "wk_", "wk_'; DROP TABLE resources; --", "w".repeat(5000)]) {
      expect(await self(odd)).toMatch(/^CREDENTIAL_(UNKNOWN|MISSING)$/);
    }
  });
});

describe("credentials of providers", () => {
  const name = "providers/sealed";
  const secret = "sk-very-secret-0123456789";
  const source = async () => (await admin.getProvider({ name })).provider?.credential?.source;
  const stored = async () => {
    const found = await trial.store.get(name);
    const resource = found?.body.resource;
    if (resource?.case !== "provider") throw new Error("no provider");
    return resource.value.credential?.source;
  };
  const credential = create(CredentialSchema, { source: { case: "secret", value: secret } });

  it("are sealed at rest and never come back", async () => {
    const made = await admin.createProvider({ provider: { name, dialect: "openai", credential } });
    const marker = { case: "sealed", value: new Uint8Array() };
    expect(made.provider?.credential?.source).toEqual(marker);
    expect(await source()).toEqual(marker);
    const kept = await stored();
    if (kept?.case !== "sealed") throw new Error("not sealed");
    expect(Buffer.from(kept.value).includes(secret)).toBe(false);
    expect(trial.sealer.open(name, kept.value)).toBe(secret);
  });

  it("stay when the mask does not name them, or the marker comes back", async () => {
    const before = await stored();
    const { provider } = await admin.getProvider({ name });
    if (provider === undefined) throw new Error("no provider");
    await admin.updateProvider({ provider: { ...provider, displayName: "x" } });
    expect(await stored()).toEqual(before);
    await admin.updateProvider({
      provider: { name, region: "eu" },
      updateMask: { paths: ["region"] },
    });
    expect(await stored()).toEqual(before);
  });

  it("are not written anew when the same secret comes again", async () => {
    const { provider } = await admin.getProvider({ name });
    if (provider === undefined) throw new Error("no provider");
    const { result } = await admin.updateProvider({ provider: { ...provider, credential } });
    expect(result?.revision).toBe(provider.meta?.revision);
  });

  it("go readable over the link, and nowhere else", async () => {
    const whole = await trial.control.hub.changeSince(0);
    const provider = whole?.upserts.find((each) => each.resource.value?.name === name);
    expect(provider?.resource).toMatchObject({
      value: { credential: { source: { case: "secret", value: secret } } },
    });
    expect((await stored())?.case).toBe("sealed");
  });

  it("come back as references when they are references", async () => {
    const env = create(CredentialSchema, { source: { case: "env", value: "OPENAI_API_KEY" } });
    await admin.updateProvider({
      provider: { name, credential: env },
      updateMask: { paths: ["credential"] },
    });
    expect(await source()).toEqual({ case: "env", value: "OPENAI_API_KEY" });
    const empty = create(CredentialSchema, { source: { case: "sealed", value: new Uint8Array() } });
    const back = { provider: { name, credential: empty }, updateMask: { paths: ["credential"] } };
    expect(await messageOf(admin.updateProvider(back))).toMatch(/sealed secret cannot be written/);
  });
});

describe("history", () => {
  it("shows and undoes changes without touching secrets", async () => {
    const name = "teams/first/keys/history";
    const made = await admin.createKey({ key: { name, displayName: "one" } });
    const from = made.result?.revision ?? 0n;
    const { secret } = await admin.rotateKey({ name, overlap: { seconds: 0n } });
    await admin.updateKey({ key: { name, displayName: "two" } });
    await admin.createTeam({ team: { name: "teams/later" } });
    const diff = await admin.diffRevisions({ fromRevision: from });
    expect(diff.changes.map((change) => change.name).sort()).toEqual([name, "teams/later"]);
    const rolled = await admin.rollbackTo({ revision: from, options: { reason: "oops" } });
    expect(rolled.changes.map((change) => change.name).sort()).toEqual([name, "teams/later"]);
    expect((await admin.getKey({ name })).key?.displayName).toBe("one");
    expect(await reasonOf(admin.getTeam({ name: "teams/later" }))).toBe("NOT_FOUND");
    expect(await self(secret)).toBe("");
    expect(await self(made.secret)).toBe("CREDENTIAL_UNKNOWN");
    const again = await admin.rollbackTo({ revision: from });
    expect(again.changes).toEqual([]);
    expect(again.result?.revision).toBe(rolled.result?.revision);
  });

  it("brings a deleted key back with its secret, and says so", async () => {
    const name = "teams/first/keys/deleted";
    const { secret, result } = await admin.createKey({ key: { name } });
    await admin.deleteKey({ name });
    expect(await self(secret)).toBe("CREDENTIAL_UNKNOWN");
    const rolled = await admin.rollbackTo({ revision: result?.revision ?? 0n });
    expect(rolled.result?.warnings.join()).toMatch(/works again/);
    expect(await self(secret)).toBe("");
  });

  it("does not let an admin roll away the own key", async () => {
    const young = await trial.key("teams/root", "young", Role.PLATFORM_ADMIN);
    const call = trial.client(AdminService, young).rollbackTo({ revision: 1n });
    expect(await messageOf(call)).toMatch(/lock yourself out/);
  });

  for (const revision of [0n, -1n, 9_999_999n]) {
    it(`refuses revision ${revision}`, async () => {
      expect(await reasonOf(admin.rollbackTo({ revision }))).toBe("INVALID_REQUEST");
      expect(await reasonOf(admin.diffRevisions({ fromRevision: revision }))).toBe(
        "INVALID_REQUEST",
      );
    });
  }

  it("pages, newest first", async () => {
    const seen: bigint[] = [];
    let pageToken = "";
    do {
      const page = await admin.listRevisions({ pageSize: 7, pageToken });
      seen.push(...page.changes.map((change) => change.revision));
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    expect(seen).toEqual([...seen].sort((a, b) => Number(b - a)));
    expect(seen.at(-1)).toBe(1n);
  });
});
