import { describe, expect, it } from "vitest";
import { boundAmount } from "../../src/quota/amount.ts";
import { boundAsk } from "../../src/quota/bound.ts";
import { createTestLimit } from "../support/quota-house.ts";
import { Chance } from "./chance.ts";
import { boundIn, createAsk, createQuestion } from "./vendor.ts";

describe("what a simulated vendor may charge at most", () => {
  for (const unit of ["nano_usd", "tokens", "input_tokens", "output_tokens"] as const) {
    it(`is never less than what is reserved: ${unit}`, () => {
      const chance = new Chance(1);
      const limit = createTestLimit({ unit });
      for (let at = 0; at < 500; at += 1) {
        const question = createQuestion(chance);
        const { target, bounds } = question;
        const bound = boundAsk(createAsk(question), bounds, target, undefined);
        const reserved = boundAmount(limit, target, bound, bound.output);
        expect(boundIn(unit, question, bound.output)).toBeGreaterThanOrEqual(reserved ?? 0);
      }
    });
  }
});
