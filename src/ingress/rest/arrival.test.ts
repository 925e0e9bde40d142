import { describe, expect, it } from "vitest";
import { VirtualClock } from "../../mesh/virtual-clock.ts";
import { openRestCall, readCredential, withClientDeadline, withDeadline } from "./arrival.ts";

const call = openRestCall({}, "openai", new VirtualClock());

describe("readCredential()", () => {
  it("prefers the bearer token", () => {
    expect(readCredential({ authorization: "Bearer a", "x-api-key": "b" })).toBe("a");
  });

  it("looks on when the authorization is of another kind", () => {
    expect(readCredential({ authorization: "Basic a", "x-api-key": "b" })).toBe("b");
  });

  it("takes an empty header for none", () => {
    expect(readCredential({ authorization: "Bearer ", "x-api-key": "" })).toBeUndefined();
  });
});

describe("withDeadline()", () => {
  it("reads milliseconds", () => {
    expect(withDeadline(call, { "x-weir-timeout-ms": "250" }).deadlineMs).toBe(250);
    expect(withDeadline(call, { "x-request-timeout-ms": "250" }).deadlineMs).toBe(250);
  });

  it("leaves a call without the header alone", () => {
    expect(withDeadline(call, {})).toBe(call);
  });
});

describe("withClientDeadline()", () => {
  it("reads seconds", () => {
    expect(withClientDeadline(call, { "x-stainless-timeout": "1.5" }).deadlineMs).toBe(1500);
  });

  it("does not move a deadline that the caller gave itself", () => {
    const given = withDeadline(call, { "x-weir-timeout-ms": "250" });
    expect(withClientDeadline(given, { "x-stainless-timeout": "9" })).toBe(given);
  });

  it("takes nonsense for none", () => {
    for (const text of ["", "NOT_GIVEN", "0", "-3", "1e99", "NaN"]) {
      expect(withClientDeadline(call, { "x-stainless-timeout": text })).toBe(call);
    }
  });
});
