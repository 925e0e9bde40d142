import { describe, expect, it } from "vitest";
import { FAULTS, readSettings } from "./parameters.ts";

describe("readSettings()", () => {
  it("reads the query of the model's name", () => {
    const { model, parameters } = readSettings(
      "text?ttft_ms=20&tps=100&fault=status:503",
      undefined,
      "",
    );
    expect(model).toBe("text");
    expect(parameters).toMatchObject({
      ttftMs: 20,
      tokensPerSecond: 100,
      fault: "status",
      faultStatus: 503,
    });
  });

  it("lets the request go over the target and the target over the name", () => {
    const options = JSON.stringify({ sim: { ttft_ms: 3 } });
    const { parameters } = readSettings(
      "text?ttft_ms=1&tps=1&tokens=1",
      { ttft_ms: 2, tps: 2 },
      options,
    );
    expect(parameters).toMatchObject({ ttftMs: 3, tokensPerSecond: 2, tokens: 1 });
  });

  it("takes a target's overrides bare or within `sim`, as the REST dialects have them", () => {
    for (const overrides of [{ tokens: 5 }, { sim: { tokens: 5 } }]) {
      expect(readSettings("text", overrides, "").parameters.tokens).toBe(5);
    }
  });

  it("finds `sim` within the options of the caller's dialect", () => {
    for (const dialect of ["openai", "anthropic"]) {
      const options = JSON.stringify({ [dialect]: { sim: { tokens: 7 }, other: 1 } });
      expect(readSettings("text", undefined, options).parameters.tokens).toBe(7);
    }
  });

  it("knows each fault", () => {
    for (const fault of FAULTS) {
      const text = fault === "status" ? "status:500" : fault;
      expect(readSettings(`text?fault=${text}`, undefined, "").parameters.fault).toBe(fault);
    }
  });

  const refused: Array<[string, string, string]> = [
    ["text?speed=3", "", "sim.speed"],
    ["text?ttft_ms=soon", "", "sim.ttft_ms"],
    ["text?ttft_ms=", "", "sim.ttft_ms"],
    ["text?fault=status", "", "sim.fault"],
    ["text?fault=status:200", "", "sim.fault"],
    ["text?fault=gremlins", "", "sim.fault"],
    ["text?fault_rate=2", "", "sim.fault_rate"],
    ["text?chunk_tokens=0", "", "sim.chunk_tokens"],
    ["text", '{"sim":{"tokens":1.5}}', "sim.tokens"],
    ["text", '{"sim":{"tokens":"1"}}', "sim.tokens"],
    ["text", '{"sim":3}', "sim"],
    ["text", '{"openai":{"sim":[]}}', "sim"],
    ["text", "[]", "provider_options"],
    ["text", "{", "provider_options"],
  ];
  for (const [model, options, field] of refused) {
    it(`refuses ${model} ${options} and names ${field}`, () => {
      expect(() => readSettings(model, undefined, options)).toThrow(
        expect.objectContaining({
          reason: "INVALID_REQUEST",
          details: expect.objectContaining({ field }),
        }),
      );
    });
  }
});
