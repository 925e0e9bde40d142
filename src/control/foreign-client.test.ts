import { credentials, loadPackageDefinition, Metadata, type ServiceError } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { adminSecret, firstSecret, openTrial, type Trial } from "./trial.fixture.ts";

let trial: Trial;
let client: InstanceType<ReturnType<typeof loadAdmin>>;

beforeAll(async () => {
  trial = await openTrial();
  client = new (loadAdmin())(trial.address, credentials.createInsecure());
});
afterAll(async () => {
  client.close();
  await trial.close();
});

describe("grpc-js, by the .proto files alone", () => {
  it("reads and writes resources", async () => {
    const made = await call("CreateTeam", { team: { name: "teams/js", displayName: "JS" } });
    expect(made).toMatchObject({ team: { name: "teams/js", displayName: "JS" } });
    const update = {
      team: { name: "teams/js", labels: { a: "b" } },
      updateMask: { paths: ["labels"] },
    };
    expect(await call("UpdateTeam", update)).toMatchObject({
      team: { displayName: "JS", labels: { a: "b" } },
    });
    expect(await call("ListTeams", {})).toMatchObject({
      teams: [{ name: "teams/first" }, { name: "teams/js" }, { name: "teams/root" }],
    });
  });

  it("gets errors with their code, text and details", async () => {
    const error = await fail("GetTeam", { name: "teams/none" });
    expect(error.code).toBe(5);
    // connect encodes more than grpc-js decodes.
    expect(decodeURIComponent(error.details)).toContain("teams/none");
    const details = error.metadata.get("grpc-status-details-bin")[0];
    expect(Buffer.from(details ?? "").includes("NOT_FOUND")).toBe(true);
    expect(await fail("GetTeam", { name: "teams/first" }, firstSecret)).toMatchObject({ code: 7 });
    expect(await fail("GetSelf", {}, "wk_wrong")).toMatchObject({ code: 16 });
  });
});

function loadAdmin() {
  const definition = loadSync("weir/admin/v1/admin_service.proto", { includeDirs: ["proto"] });
  const weir = loadPackageDefinition(definition).weir;
  if (weir === undefined || !("admin" in weir)) throw new Error("no package weir.admin");
  const { admin } = weir;
  if (typeof admin !== "object" || !("v1" in admin)) throw new Error("no package weir.admin.v1");
  const { v1 } = admin;
  if (typeof v1 !== "object" || !("AdminService" in v1)) throw new Error("no AdminService");
  const service = v1.AdminService;
  if (typeof service !== "function") throw new Error("AdminService is no service");
  return service;
}

function call(rpc: string, request: object, secret = adminSecret): Promise<unknown> {
  const metadata = new Metadata();
  metadata.set("authorization", `Bearer ${secret}`);
  return new Promise((resolve, reject) => {
    client[rpc]?.(request, metadata, (error: ServiceError | null, answer: unknown) =>
      error === null ? resolve(answer) : reject(error),
    );
  });
}

async function fail(rpc: string, request: object, secret?: string): Promise<ServiceError> {
  return await call(rpc, request, secret).then(
    () => {
      throw new Error(`${rpc} did not fail`);
    },
    (error: ServiceError) => error,
  );
}
