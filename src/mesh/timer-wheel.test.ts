import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { TimerWheel } from "./timer-wheel.ts";
import { VirtualClock } from "./virtual-clock.ts";

/** A wheel, and the times at which its timers fired. */
function createTrial() {
  const clock = new VirtualClock();
  const wheel = new TimerWheel(clock);
  const fired: number[] = [];
  const start = (delayMs: number) => wheel.after(delayMs, () => fired.push(clock.now()));
  return { clock, wheel, fired, start };
}

describe("TimerWheel", () => {
  it("fires never early and at most a tick late, whatever the delays", async () => {
    const delays = fc.array(fc.integer({ min: 0, max: 40_000 }), { maxLength: 20 });
    const begins = fc.array(fc.integer({ min: 0, max: 15_000 }), { maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(delays, begins, async (asked, pauses) => {
        const { clock, wheel } = createTrial();
        let open = 0;
        for (const pause of [0, ...pauses]) {
          await clock.advance(pause);
          for (const delay of asked) {
            const dueMs = clock.now() + delay;
            open += 1;
            wheel.after(delay, () => {
              open -= 1;
              expect(clock.now()).toBeGreaterThanOrEqual(dueMs);
              expect(clock.now()).toBeLessThanOrEqual(dueMs + 20);
            });
          }
        }
        await clock.advance(40_020);
        expect(open).toBe(0);
      }),
      { numRuns: 20 },
    );
  });

  it("is no later when it started between two multiples of its tick", async () => {
    for (let phase = 0; phase < 20; phase++) {
      const { clock, wheel, start } = createTrial();
      await clock.advance(phase);
      start(1);
      await clock.advance(5);
      for (let delay = 0; delay < 45; delay++) {
        const dueMs = clock.now() + delay;
        wheel.after(delay, () => expect([phase, clock.now() - dueMs <= 20]).toEqual([phase, true]));
      }
      await clock.advance(200);
    }
  });

  it("never fires what was cancelled", async () => {
    const { clock, fired, start } = createTrial();
    const timers = [start(1000), start(1000), start(1000)];
    timers[1]?.cancel();
    timers[1]?.cancel();
    await clock.advance(2000);
    expect(fired).toHaveLength(2);
  });

  it("does not revive by a refresh what was cancelled", async () => {
    const { clock, fired, start } = createTrial();
    const timer = start(1000);
    timer.cancel();
    timer.refresh();
    await clock.advance(3000);
    expect(fired).toEqual([]);
  });

  it("starts a delay anew when refreshed", async () => {
    const { clock, fired, start } = createTrial();
    const timer = start(1000);
    await clock.advance(900);
    timer.refresh();
    await clock.advance(999);
    expect(fired).toEqual([]);
    await clock.advance(30);
    expect(fired).toHaveLength(1);
  });

  it("fires again when it is refreshed as it fires", async () => {
    const { clock, wheel } = createTrial();
    let times = 0;
    const timer = wheel.after(1000, () => {
      times += 1;
      timer.refresh();
    });
    await clock.advance(3100);
    expect(times).toBe(3);
  });

  it("lets timers be cancelled by one that fires in the same turn", async () => {
    const { clock, wheel, fired, start } = createTrial();
    const others: { cancel(): void }[] = [];
    wheel.after(1000, () => {
      for (const other of others) other.cancel();
    });
    others.push(start(1000), start(1000));
    await clock.advance(2000);
    expect(fired).toEqual([]);
  });

  it("fires the others though one throws", async () => {
    const { clock, wheel, fired, start } = createTrial();
    wheel.after(1000, () => {
      throw new Error("a fault of its own");
    });
    start(1000);
    start(11_240);
    await expect(clock.advance(2000)).rejects.toThrow("a fault of its own");
    await clock.advance(20_000);
    expect(fired).toHaveLength(2);
  });

  it("takes a delay without end", async () => {
    const { clock, fired, start } = createTrial();
    start(Number.POSITIVE_INFINITY);
    await clock.advance(20_000);
    expect(fired).toEqual([]);
  });

  it("stands still while it has nothing", async () => {
    let wanted = 0;
    const clock = new VirtualClock();
    const wheel = new TimerWheel({
      now: () => clock.now(),
      every: (intervalMs, run) => {
        wanted += 1;
        const timer = clock.every(intervalMs, run);
        const cancel = () => {
          wanted -= 1;
          timer.cancel();
        };
        return { ...timer, cancel };
      },
    });
    wheel.after(1000, () => {});
    expect(wanted).toBe(1);
    await clock.advance(1100);
    expect(wanted).toBe(0);
  });
});
