import { describe, expect, it } from "vitest";
import { VirtualClock } from "../mesh/virtual-clock.ts";
import { startRetention } from "./retention.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

describe("startRetention()", () => {
  it("expires at once and each hour, by the age of records, one round at a time", async () => {
    const clock = new VirtualClock();
    const asked: number[] = [];
    const faults: string[] = [];
    let answer: PromiseWithResolvers<number> = Promise.withResolvers();
    const stop = startRetention({
      store: {
        expireRecords: (beforeMs) => {
          asked.push((clock.wallMs() - beforeMs) / DAY_MS);
          return answer.promise;
        },
      },
      clock,
      days: 30,
      onFault: (text) => faults.push(text),
    });
    expect(asked).toEqual([30]);
    await clock.advance(HOUR_MS);
    expect(asked).toEqual([30]);
    answer.reject(new Error("disk full"));
    await clock.advance(0);
    answer = Promise.withResolvers();
    await clock.advance(HOUR_MS);
    expect(asked).toEqual([30, 30]);
    expect(faults).toEqual(["Old records cannot be deleted: Error: disk full"]);
    stop();
    answer.resolve(0);
    await clock.advance(3 * HOUR_MS);
    expect(asked).toEqual([30, 30]);
  });
});
