import { describe, expect, it } from "vitest";
import type { StoreFixture } from "./store-contract.ts";
import { createWrite, putTeam } from "./store-material.ts";

export function describeMigrations(createFixture: () => Promise<StoreFixture>): void {
  describe("migrate()", () => {
    it("applies each migration once, whoever comes first", async () => {
      const fixture = await createFixture();
      try {
        const stores = await Promise.all([fixture.open(), fixture.open(), fixture.open()]);
        const applied = await Promise.all(stores.map((store) => store.migrate()));
        const versions = applied.flat().sort((a, b) => a - b);
        expect(versions.length).toBeGreaterThan(0);
        expect(versions).toEqual(versions.map((_, index) => index + 1));
        for (const store of stores) expect(await store.revision()).toBe(0);
      } finally {
        await fixture.dispose();
      }
    });

    it("finds nothing to do on an up-to-date schema, and keeps what is there", async () => {
      const fixture = await createFixture();
      try {
        const first = await fixture.open();
        await first.migrate();
        await first.commit(createWrite([putTeam("teams/kept")]));
        await first.close();
        const second = await fixture.open();
        expect(await second.migrate()).toEqual([]);
        expect((await second.get("teams/kept"))?.revision).toBe(1);
      } finally {
        await fixture.dispose();
      }
    });
  });

  describe("installationId()", () => {
    it("is made once, for all who open the store", async () => {
      const fixture = await createFixture();
      try {
        const [first, second] = await Promise.all([fixture.open(), fixture.open()]);
        await first.migrate();
        const ids = await Promise.all([first.installationId(), second.installationId()]);
        expect(ids[0]).toMatch(/^ins_[0-9a-f]{32}$/);
        expect(ids[1]).toBe(ids[0]);
      } finally {
        await fixture.dispose();
      }
    });
  });

  describe("close()", () => {
    it("finishes what was begun and refuses what comes after", async () => {
      const fixture = await createFixture();
      try {
        const store = await fixture.open();
        await store.migrate();
        const pending = store.commit(createWrite([putTeam("teams/last")]));
        await store.close();
        expect((await pending).outcome).toBe("committed");
        await expect(store.revision()).rejects.toThrow(/closed/);
      } finally {
        await fixture.dispose();
      }
    });
  });
}
