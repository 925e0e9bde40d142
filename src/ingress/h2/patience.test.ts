import { describe, expect, it } from "vitest";
import { OpenStreams } from "./open-streams.ts";
import { Patience, type Standing } from "./patience.ts";

const limits = { firstByteMs: 10, headersMs: 30, stallMs: 300, idleMs: 1_800 };

function stand(change: Partial<Standing> = {}): Standing {
  const streams = new OpenStreams();
  return { settled: true, midFrame: false, frames: 0, blocked: false, streams, ...change };
}

describe("Patience.judge()", () => {
  const cases: Array<[string, Partial<Standing>, number, string]> = [
    ["says no word", { settled: false }, limits.firstByteMs, "destroy"],
    ["stops in a frame", { midFrame: true }, limits.headersMs, "destroy"],
    ["takes nothing from its socket", { blocked: true }, limits.stallMs, "destroy"],
    ["is idle", {}, limits.idleMs, "leave"],
  ];
  for (const [name, change, limitMs, verdict] of cases) {
    it(`bears with a peer that ${name}, and then no longer`, () => {
      const patience = new Patience(limits, 0);
      expect(patience.judge(0, stand(change))).toBe("go on");
      expect(patience.judge(limitMs - 1, stand(change))).toBe("go on");
      expect(patience.judge(limitMs, stand(change))).toBe(verdict);
    });
  }

  it("bears for ever with a peer that is always in the middle of another frame", () => {
    const patience = new Patience(limits, 0);
    for (let at = 0; at < 20; at++) {
      const standing = stand({ midFrame: true, frames: at });
      expect(patience.judge(at * (limits.headersMs - 1), standing)).toBe("go on");
    }
  });

  it("begins anew when a frame is completed, the socket moves, or bytes come", () => {
    const patience = new Patience(limits, 0);
    patience.judge(0, stand({ midFrame: true, blocked: true }));
    patience.touch();
    expect(patience.judge(299, stand({ blocked: true }))).toBe("go on");
    expect(patience.judge(320, stand({ midFrame: true, blocked: true }))).toBe("go on");
    expect(patience.judge(2_098, stand())).toBe("go on");
    expect(patience.judge(2_099, stand())).toBe("leave");
  });
});
