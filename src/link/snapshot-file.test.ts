import { readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { systemClock } from "../mesh/clock.ts";
import { VirtualClock } from "../mesh/virtual-clock.ts";
import { createHolder, LinkFixture, provider, silent, team } from "./link-fixture.ts";
import { openSnapshotFile } from "./snapshot-file.ts";

const fixture = new LinkFixture();
afterEach(() => fixture.cleanUp());

describe("openSnapshotFile()", () => {
  async function savedAt(path: string) {
    const holder = createHolder();
    const file = await openSnapshotFile({
      path,
      token: "t",
      holder,
      clock: systemClock,
      log: silent,
    });
    holder.apply({
      revision: 3,
      baseRevision: 0,
      installationId: "i",
      upserts: [
        ...Array.from({ length: 250 }, (_, i) => team(`t${i}`)),
        provider("p", "openai", "sk-very-secret"),
      ],
      deletions: [],
    });
    await file.close();
  }

  it("lets a proxy serve while no control is there", async () => {
    const path = join(await fixture.directory(), "snapshot");
    await savedAt(path);
    const holder = createHolder();
    const file = await openSnapshotFile({
      path,
      token: "t",
      holder,
      clock: systemClock,
      log: silent,
    });
    await file.close();
    const proxy = await fixture.proxy(["127.0.0.1:1"], { holder });
    expect(proxy.link.state()).toBe("connecting");
    expect(proxy.link.revision).toBe(3);
    expect(holder.current.teams.size).toBe(250);
    expect(holder.current.providers.get("providers/p")?.secret).toBe("sk-very-secret");
  });

  it("keeps secrets from those who read the disk", async () => {
    const path = join(await fixture.directory(), "snapshot");
    await savedAt(path);
    expect((await readFile(path)).includes("sk-very-secret")).toBe(false);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
  });

  for (const [what, damage] of [
    ["a flipped byte", (bytes: Buffer) => bytes.fill((bytes[500] ?? 0) ^ 1, 500, 501)],
    ["a torn end", (bytes: Buffer) => bytes.subarray(0, bytes.length / 2)],
    ["something else", () => Buffer.from("hello")],
    ["nothing", () => Buffer.alloc(0)],
  ] as const) {
    it(`ignores a file with ${what}, and writes it anew`, async () => {
      const path = join(await fixture.directory(), "snapshot");
      await savedAt(path);
      await writeFile(path, damage(await readFile(path)));
      const holder = createHolder();
      const warnings: string[] = [];
      const log = { ...silent, warn: (_: object, message: string) => warnings.push(message) };
      await openSnapshotFile({ path, token: "t", holder, clock: systemClock, log });
      expect(holder.current.revision).toBe(0);
      expect(warnings).toHaveLength(1);
    });
  }

  it("ignores a file of another token", async () => {
    const path = join(await fixture.directory(), "snapshot");
    await savedAt(path);
    const holder = createHolder();
    await openSnapshotFile({ path, token: "u", holder, clock: systemClock, log: silent });
    expect(holder.current.revision).toBe(0);
  });

  it("writes at most once a second, and the last one wins", async () => {
    const path = join(await fixture.directory(), "snapshot");
    const clock = new VirtualClock();
    const holder = createHolder();
    const file = await openSnapshotFile({ path, token: "t", holder, clock, log: silent });
    let exports = 0;
    const { export: original } = holder;
    holder.export = () => {
      exports += 1;
      return original();
    };
    for (let revision = 1; revision <= 50; revision++) {
      const baseRevision = revision - 1;
      holder.apply({ revision, baseRevision, installationId: "i", upserts: [], deletions: [] });
    }
    expect(exports).toBe(0);
    await clock.advance(1000);
    expect(exports).toBe(1);
    await file.close();
    expect(exports).toBe(1);
    const again = createHolder();
    await openSnapshotFile({ path, token: "t", holder: again, clock, log: silent });
    expect(again.current.revision).toBe(50);
  });
});
