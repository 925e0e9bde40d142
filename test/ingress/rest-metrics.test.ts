import { create } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { KeySchema, Role } from "../../gen/weir/admin/v1/team_pb.ts";
import { openDoor } from "./open-door.ts";
import { KEY } from "./pretend-house.ts";

const page = { type: "text/plain; version=0.0.4", read: () => "# nothing\n" };

async function scrape(open: boolean, role: Role, key?: string): Promise<Response> {
  const principal = { key: create(KeySchema), teams: [], user: "", adminRole: role };
  const metrics = { ...page, open };
  const identified = key === undefined ? {} : { identify: () => principal };
  const door = await openDoor({ house: { metrics, ...identified } });
  const headers: Record<string, string> =
    key === undefined ? {} : { authorization: `Bearer ${key}` };
  return fetch(`${door.url}/metrics`, { headers });
}

describe("GET /metrics", () => {
  const cases: Array<[string, Role, number]> = [
    ["a platform admin", Role.PLATFORM_ADMIN, 200],
    ["an auditor", Role.AUDITOR, 200],
    ["a team's admin", Role.TEAM_ADMIN, 403],
    ["a member", Role.MEMBER, 403],
    ["a key that asks models", Role.UNSPECIFIED, 403],
  ];
  for (const [who, role, status] of cases) {
    it(`answers ${who} with ${status}`, async () => {
      const answer = await scrape(false, role, KEY);
      expect(answer.status).toBe(status);
      if (status === 200) expect(await answer.text()).toBe("# nothing\n");
    });
  }

  it("is for nobody without a key, unless it is open", async () => {
    expect((await scrape(false, Role.UNSPECIFIED)).status).toBe(401);
    const answer = await scrape(true, Role.UNSPECIFIED);
    expect(answer.status).toBe(200);
    expect(answer.headers.get("content-type")).toContain("version=0.0.4");
  });

  it("says so where nothing is counted", async () => {
    const principal = { teams: [], user: "", adminRole: Role.AUDITOR };
    const house = { identify: () => ({ ...principal, key: create(KeySchema) }) };
    const door = await openDoor({ house });
    expect((await fetch(`${door.url}/metrics`)).status).toBe(501);
  });
});
