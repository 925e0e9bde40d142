import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { equals } from "@bufbuild/protobuf";
import { Code, type ServiceImpl } from "@connectrpc/connect";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { AdminService } from "../../gen/weir/admin/v1/admin_service_pb.ts";
import { type Model, ModelSchema } from "../../gen/weir/admin/v1/model_pb.ts";
import { type Team, TeamSchema } from "../../gen/weir/admin/v1/team_pb.ts";
import {
  createRpcError,
  openPretendWeir,
  type PretendWeir,
} from "../../test/client/pretend-weir.ts";
import { type Ran, runCommand } from "./run-command.fixture.ts";

/** A control plane in small: teams and models, with etags and references. */
class Control {
  readonly teams = new Map<string, Team>();
  readonly models = new Map<string, Model>();
  /** Names in the order of their writes. */
  readonly writes: string[] = [];
  /** Refuses every write of this name, checks aside. */
  refuse = "";
  #etag = 0;

  readonly service: Partial<ServiceImpl<typeof AdminService>> = {
    getTeam: ({ name }) => ({ team: this.teams.get(name) ?? notFound(name) }),
    getModel: ({ name }) => ({ model: this.models.get(name) ?? notFound(name) }),
    updateTeam: ({ team, options }) => {
      if (team === undefined) throw new Error("no team");
      if (team.parent !== "" && !this.teams.has(team.parent)) missing(team.parent);
      const before = this.teams.get(team.name);
      const same = before !== undefined && equals(TeamSchema, team, { ...before, meta: team.meta });
      if (team.displayName === "bad") throw createRpcError(Code.InvalidArgument, "INVALID_REQUEST");
      if (options?.validateOnly === true) return { team: { ...team, meta: before?.meta } };
      return { team: this.#write(this.teams, team, same) };
    },
    updateModel: ({ model, options }) => {
      if (model === undefined) throw new Error("no model");
      const alias = `models/${model.aliasOf}`;
      if (model.aliasOf !== "" && !this.models.has(alias)) missing(alias);
      const before = this.models.get(model.name);
      const sent = { ...before, meta: model.meta, $typeName: model.$typeName };
      const same = before !== undefined && equals(ModelSchema, model, { ...before, ...sent });
      if (options?.validateOnly === true) return { model: { ...model, meta: before?.meta } };
      return { model: this.#write(this.models, model, same) };
    },
    deleteTeam: ({ name }) => {
      this.writes.push(`-${name}`);
      return this.teams.delete(name) ? {} : notFound(name);
    },
    deleteModel: ({ name }) => {
      this.writes.push(`-${name}`);
      return this.models.delete(name) ? {} : notFound(name);
    },
  };

  #write<T extends Team | Model>(all: Map<string, T>, body: T, same: boolean): T {
    if (body.name === this.refuse) throw createRpcError(Code.Aborted, "ETAG_MISMATCH");
    if (same) return all.get(body.name) ?? body;
    this.writes.push(body.name);
    this.#etag += 1;
    const kept = {
      ...body,
      meta: { $typeName: "weir.admin.v1.Meta", etag: `e${this.#etag}`, revision: 0n },
    };
    all.set(body.name, kept);
    return kept;
  }
}

function notFound(name: string): never {
  throw createRpcError(Code.NotFound, "NOT_FOUND", { message: `There is no ${name}.` });
}

function missing(name: string): never {
  const message = `There is no ${name}. Create it first.`;
  throw createRpcError(Code.FailedPrecondition, "FAILED_PRECONDITION", { message });
}

let control: Control;
let weir: PretendWeir;
let directory: string;

beforeEach(async () => {
  control = new Control();
  weir = await openPretendWeir({ admin: control.service });
  directory = mkdtempSync(join(tmpdir(), "weir-apply-"));
});
afterEach(async () => {
  await weir.close();
  rmSync(directory, { recursive: true, force: true });
});

function run(...args: string[]): Promise<Ran> {
  return runCommand(args, { WEIR_ADDRESS: weir.address, WEIR_KEY: "wk_test" });
}

function write(name: string, text: string): string {
  const path = join(directory, name);
  writeFileSync(path, text);
  return path;
}

const family = `
{kind: Model, name: fast, alias_of: slow}
---
{kind: Model, name: slow, displayName: Slow}
---
{kind: Team, name: b, parent: teams/a}
---
{kind: Team, name: a}
`;

describe("weir apply", () => {
  it("creates in the order of need, then leaves alone what is as it should be", async () => {
    const file = write("family.yaml", family);
    const first = await run("apply", "-f", file);
    expect(first.code).toBe(0);
    expect(first.out.trimEnd().split("\n")).toEqual([
      "teams/a created",
      "teams/b created",
      "models/slow created",
      "models/fast created",
    ]);
    expect(control.writes).toEqual(["teams/a", "teams/b", "models/slow", "models/fast"]);
    const second = await run("apply", "-f", file, "-o", "json");
    const changes = JSON.parse(second.out).map((each: { change: string }) => each.change);
    expect(changes).toEqual(Array(4).fill("unchanged"));
  });

  it("says what changed", async () => {
    await run("apply", "-f", write("f.yaml", family));
    const changed = family.replace("displayName: Slow", "displayName: Slower");
    const { out } = await run("apply", "-f", write("f.yaml", changed));
    expect(out.split("\n").filter((line) => !line.endsWith("unchanged"))).toEqual([
      "models/slow updated",
      "",
    ]);
  });

  it("writes nothing in a dry run, and says what it would", async () => {
    const { code, out, err } = await run("apply", "--dry-run", "-f", write("f.yaml", family));
    expect([code, control.writes]).toEqual([0, []]);
    expect(out).toContain("models/fast would be created");
    expect(err).toContain("checked fully");
  });

  it("writes nothing when the server refuses one of them, and says which", async () => {
    const file = write("f.yaml", `${family}\n---\nkind: Team\nname: c\ndisplayName: bad\n`);
    const { code, err } = await run("apply", "-f", file);
    expect([code, control.writes]).toEqual([1, []]);
    expect(err).toMatch(/nothing was written.*\n +.*f\.yaml:\d+: teams\/c: INVALID_REQUEST/);
  });

  it("does not forgive a missing name that this batch does not make", async () => {
    const { code, err } = await run(
      "apply",
      "-f",
      write("f.yaml", "{kind: Team, name: b, parent: teams/none}"),
    );
    expect([code, control.writes]).toEqual([1, []]);
    expect(err).toContain("There is no teams/none.");
  });

  it("says what was done before a write failed", async () => {
    control.refuse = "models/slow";
    const { code, out, err } = await run("apply", "-f", write("f.yaml", family));
    expect(code).toBe(1);
    expect(out).toBe("teams/a created\nteams/b created\n");
    expect(err).toMatch(/f\.yaml:4: models\/slow: ETAG_MISMATCH: .*weir get/);
  });

  it("reads directories with what is below, and nothing but documents", async () => {
    mkdirSync(join(directory, "sub"));
    write("a.yml", "{kind: Team, name: a}");
    write("sub/b.json", '{"kind": "Team", "name": "b"}');
    write("sub/readme.md", "not: [a document");
    await run("apply", "-f", directory);
    expect(control.writes).toEqual(["teams/a", "teams/b"]);
  });

  it("takes back what `weir get` gives, as YAML and as JSON", async () => {
    await run("apply", "-f", write("f.yaml", family));
    for (const form of ["yaml", "json"]) {
      const { out } = await run("get", "models/slow", "models/fast", "-o", form);
      const again = await run("apply", "-f", write(`again.${form}`, out));
      expect(again.out).toBe("models/slow unchanged\nmodels/fast unchanged\n");
    }
  });
});

describe("weir delete", () => {
  it("deletes by documents, those that name others first", async () => {
    const file = write("f.yaml", family);
    await run("apply", "-f", file);
    control.writes.length = 0;
    const { code } = await run("delete", "-f", file);
    expect([code, control.writes]).toEqual([
      0,
      ["-models/fast", "-models/slow", "-teams/b", "-teams/a"],
    ]);
  });

  it("stops at what is not there", async () => {
    const { code, err } = await run("delete", "team", "x", "y");
    expect([code, control.writes]).toEqual([1, ["-teams/x"]]);
    expect(err).toContain("NOT_FOUND");
  });
});
