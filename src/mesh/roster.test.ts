import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Place, Roster } from "./roster.ts";

describe("Roster", () => {
  it("has the members that a Set would have", () => {
    fc.assert(
      fc.property(fc.array(fc.nat({ max: 9 }), { maxLength: 60 }), (steps) => {
        const roster = new Roster<number>();
        const model = new Set<number>();
        const places = new Map<number, Place<number>>();
        for (const step of steps) {
          const place = places.get(step);
          if (place === undefined) {
            places.set(step, roster.add(step));
            model.add(step);
          } else {
            roster.leave(place);
            places.delete(step);
            model.delete(step);
          }
          expect(new Set(roster)).toEqual(model);
          expect(roster.size).toBe(model.size);
        }
      }),
    );
  });

  it("lets nobody else go when one leaves twice", () => {
    const roster = new Roster<string>();
    const first = roster.add("first");
    roster.add("second");
    roster.leave(first);
    roster.leave(first);
    expect([...roster]).toEqual(["second"]);
  });

  it("may be left while it is gone through", () => {
    const roster = new Roster<number>();
    const places = [1, 2, 3].map((item) => roster.add(item));
    const seen: number[] = [];
    for (const item of roster) {
      seen.push(item);
      for (const place of places) roster.leave(place);
    }
    expect(seen).toEqual([1, 2, 3]);
    expect(roster.size).toBe(0);
  });
});
