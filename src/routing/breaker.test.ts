import { describe, expect, it } from "vitest";
import { VirtualClock } from "../mesh/virtual-clock.ts";
import { Breakers, defaultBreakerRules } from "./breaker.ts";

const { failuresMax, ejectionMs } = defaultBreakerRules;

function createBreaker() {
  const clock = new VirtualClock();
  return { clock, breaker: new Breakers(clock).of("target") };
}

function failOnce(breaker: ReturnType<Breakers["of"]>): void {
  breaker.begin();
  breaker.fail();
}

describe("Breaker", () => {
  it("ejects after five failures in a row, and not before", () => {
    const { breaker } = createBreaker();
    for (let i = 1; i < failuresMax; i++) {
      failOnce(breaker);
      expect(breaker.state).toBe("closed");
    }
    failOnce(breaker);
    expect(breaker.state).toBe("open");
  });

  it("forgets failures after a success", () => {
    const { breaker } = createBreaker();
    for (let i = 1; i < failuresMax; i++) failOnce(breaker);
    breaker.succeed();
    for (let i = 1; i < failuresMax; i++) failOnce(breaker);
    expect(breaker.state).toBe("closed");
  });

  it("lets one probe through when its time is up, and closes when that succeeds", async () => {
    const { breaker, clock } = createBreaker();
    for (let i = 0; i < failuresMax; i++) failOnce(breaker);
    await clock.advance(ejectionMs - 1);
    expect(breaker.state).toBe("open");
    await clock.advance(1);
    expect(breaker.state).toBe("half_open");
    breaker.begin();
    expect(breaker.state).toBe("open");
    breaker.succeed();
    expect(breaker.state).toBe("closed");
  });

  it("ejects for longer each time a probe fails", async () => {
    const { breaker, clock } = createBreaker();
    for (let i = 0; i < failuresMax; i++) failOnce(breaker);
    for (let times = 2; times <= 4; times++) {
      await clock.advance(breaker.waitMs);
      failOnce(breaker);
      expect(breaker.waitMs).toBe(ejectionMs * times);
    }
  });

  it("does not lose the probe to a caller who left", async () => {
    const { breaker, clock } = createBreaker();
    for (let i = 0; i < failuresMax; i++) failOnce(breaker);
    await clock.advance(ejectionMs);
    breaker.begin();
    breaker.forget();
    expect(breaker.state).toBe("half_open");
  });

  it("ejects at once when the target is broken for good", () => {
    const { breaker } = createBreaker();
    breaker.begin();
    breaker.fail(true);
    expect(breaker.state).toBe("open");
  });

  it("takes a lack of capacity for no fault of health", async () => {
    const { breaker, clock } = createBreaker();
    for (let i = 0; i < 20; i++) breaker.block(2_000);
    expect(breaker.blocked).toBe(true);
    expect(breaker.state).toBe("closed");
    await clock.advance(2_000);
    expect(breaker.blocked).toBe(false);
  });
});
