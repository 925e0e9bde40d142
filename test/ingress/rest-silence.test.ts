import { describe, expect, it } from "vitest";
import type { Timer } from "../../src/mesh/clock.ts";
import type { ChatHandler } from "../../src/mesh/rooms.ts";
import { VirtualClock } from "../../src/mesh/virtual-clock.ts";
import { openDoor } from "./open-door.ts";
import { decision, KEY, outcome, textEvent } from "./pretend-house.ts";

const messages = [{ role: "user", content: "Hello" }];
const question = { model: "sim/echo", messages, stream: true };
const headers = { "x-api-key": KEY };

/** Says "one", is silent for `silenceMs`, and says "two". */
function pausing(clock: VirtualClock, silenceMs: number, saidAnything = true): ChatHandler {
  return async (_call, _ask, sink) => {
    const say = (text: string) => {
      const events = [textEvent(text)];
      sink.chunk({ wire: undefined, content: true, answer: undefined, events: () => events });
    };
    sink.start(decision);
    if (saidAnything) say("one");
    await clock.advance(silenceMs);
    say("two");
    return outcome;
  };
}

async function read(chat: ChatHandler, clock: VirtualClock): Promise<string> {
  const door = await openDoor({ house: { chat, clock } });
  return await (await door.post("/v1/chat/completions", question, headers)).text();
}

describe("a silent stream", () => {
  it("gets a comment before 15 seconds have passed, and one every so often", async () => {
    const clock = new VirtualClock();
    const text = await read(pausing(clock, 46_000), clock);
    const between = text.slice(text.indexOf("one"), text.indexOf("two"));
    expect(between.match(/^: weir$/gm)?.length).toBeGreaterThanOrEqual(3);
  });

  it("gets none while it speaks", async () => {
    const clock = new VirtualClock();
    expect(await read(pausing(clock, 7_000), clock)).not.toContain(": weir");
  });

  it("gets none before its first chunk, when an error can still be an HTTP error", async () => {
    const clock = new VirtualClock();
    expect(await read(pausing(clock, 60_000, false), clock)).not.toContain(": weir");
  });

  it("leaves no timer behind", async () => {
    const clock = new CountingClock();
    await read(pausing(clock, 20_000), clock);
    expect(clock.started).toBeGreaterThan(0);
    expect(clock.running).toBe(0);
  });
});

/** Knows how many of its repeating timers were never cancelled. */
class CountingClock extends VirtualClock {
  started = 0;
  running = 0;

  override every(intervalMs: number, run: () => void): Timer {
    this.started += 1;
    this.running += 1;
    const timer = super.every(intervalMs, run);
    const cancel = () => {
      this.running -= 1;
      timer.cancel();
    };
    return { refresh: timer.refresh, cancel };
  }
}
