import { describe, expect, it } from "vitest";
import { MeshError } from "../mesh/errors.ts";
import { VirtualClock } from "../mesh/virtual-clock.ts";
import { type AnswerReading, Exchange } from "./exchange.ts";
import { createAttempt } from "./trial.fixture.ts";

const reading: AnswerReading<string> = {
  readError: () => new MeshError("UPSTREAM_FAILED", "told"),
  readWhole: String,
  openStream: () => undefined,
  partialUsage: () => undefined,
  counted: () => true,
};

function begin(answered: boolean) {
  const attempt = createAttempt();
  const aborted: Error[] = [];
  const rejected: Error[] = [];
  const exchange = new Exchange({
    clock: new VirtualClock(),
    attempt,
    reading,
    origin: "https://a.example",
    resolve: () => expect.unreachable(),
    reject: (error) => rejected.push(error),
  });
  const controller = {
    aborted: false,
    paused: false,
    reason: null,
    abort: (reason: Error) => aborted.push(reason),
    pause: () => {},
    resume: () => {},
  };
  exchange.onRequestStart(controller);
  if (answered) exchange.onResponseStart(controller, 200, {});
  return { attempt, aborted, rejected };
}

describe("an exchange whose caller leaves", () => {
  for (const answered of [false, true]) {
    const when = answered ? "in the middle of the answer" : "before any answer";
    // No clock is needed to say how soon: nothing is waited for.
    it(`closes the upstream's connection within the same turn, ${when}`, () => {
      const { attempt, aborted, rejected } = begin(answered);
      const gone = new MeshError("CALLER_GONE", "gone");
      attempt.cancellation.cancel(gone);
      expect(aborted).toEqual([gone]);
      expect(rejected).toEqual([gone]);
      attempt.cancellation.cancel(new MeshError("CALLER_GONE", "again"));
      expect(aborted).toHaveLength(1);
    });
  }
});
