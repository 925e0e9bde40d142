import { describe, expect, it } from "vitest";
import { MeshError } from "../../mesh/errors.ts";
import { readError, writeError } from "./errors.ts";

function body(type: string, message: string): Buffer {
  return Buffer.from(JSON.stringify({ type: "error", error: { type, message } }));
}

describe("readError()", () => {
  const rows: Array<[number, string, string, string]> = [
    [400, "invalid_request_error", "bad", "UPSTREAM_REFUSED"],
    [400, "invalid_request_error", "prompt is too long: 9 > 8", "CONTEXT_TOO_LONG"],
    [400, "invalid_request_error", "Your credit balance is too low", "UPSTREAM_CREDENTIAL"],
    [400, "invalid_request_error", "Output blocked by content filtering policy", "CONTENT_BLOCKED"],
    [401, "authentication_error", "invalid x-api-key", "UPSTREAM_CREDENTIAL"],
    [403, "permission_error", "no", "UPSTREAM_CREDENTIAL"],
    [404, "not_found_error", "model: claude-secret", "UPSTREAM_REFUSED"],
    [408, "timeout_error", "slow", "UPSTREAM_TIMEOUT"],
    [413, "request_too_large", "big", "UPSTREAM_REFUSED"],
    [429, "rate_limit_error", "org-123 is over", "UPSTREAM_RATE_LIMITED"],
    [500, "api_error", "stack", "UPSTREAM_FAILED"],
    [504, "timeout_error", "slow", "UPSTREAM_TIMEOUT"],
    [529, "overloaded_error", "Overloaded", "UPSTREAM_FAILED"],
  ];
  for (const [status, type, message, reason] of rows) {
    it(`maps ${status} ${type} (${message}) to ${reason}`, () => {
      const error = readError(status, {}, body(type, message));
      expect(error.reason).toBe(reason);
      expect(error.details.upstream).toMatchObject({ status, type });
      expect(error.details.internal).toContain(message);
    });
  }

  it("shows the vendor's words about the request and no others", () => {
    const shown = rows.filter(([status, type, message]) =>
      readError(status, {}, body(type, message)).message.includes(message),
    );
    expect(shown.map(([status]) => status)).toEqual([400, 400, 400, 413]);
  });

  for (const text of ["", "<html>502</html>", "{", "null", "[]", '{"error":"words"}', '"x"']) {
    it(`takes the body ${JSON.stringify(text)}`, () => {
      expect(readError(502, {}, Buffer.from(text)).reason).toBe("UPSTREAM_FAILED");
    });
  }

  const waits: Array<[Record<string, string>, number | undefined]> = [
    [{ "retry-after": "7" }, 7000],
    [{ "retry-after": "0.5" }, 500],
    [
      {
        date: "Mon, 23 Nov 2026 04:00:00 GMT",
        "retry-after": "Mon, 23 Nov 2026 04:01:00 GMT",
      },
      60_000,
    ],
    [
      {
        date: "Mon, 23 Nov 2026 04:00:00 GMT",
        "anthropic-ratelimit-requests-remaining": "5",
        "anthropic-ratelimit-requests-reset": "2026-11-23T05:00:00Z",
        "anthropic-ratelimit-tokens-remaining": "0",
        "anthropic-ratelimit-tokens-reset": "2026-11-23T04:00:30Z",
      },
      30_000,
    ],
    [{ "retry-after": "soon" }, undefined],
    [{}, undefined],
  ];
  for (const [headers, expected] of waits) {
    it(`waits ${expected} ms by ${JSON.stringify(headers)}`, () => {
      const error = readError(429, headers, body("rate_limit_error", "x"));
      expect(error.details.retryAfterMs).toBe(expected);
    });
  }
});

describe("writeError()", () => {
  it("writes Anthropic's object", () => {
    const error = new MeshError("MODEL_NOT_FOUND", "There is no such model.", { field: "model" });
    expect(writeError(error, "req_1")).toEqual({
      type: "error",
      error: {
        type: "not_found_error",
        message: "There is no such model.",
        param: "model",
        metadata: { reason: "MODEL_NOT_FOUND" },
      },
      request_id: "req_1",
    });
  });

  it("keeps the type of an Anthropic vendor about the request or load", () => {
    const overloaded = readError(529, {}, body("overloaded_error", "x"));
    expect(writeError(overloaded, "r")).toMatchObject({ error: { type: "overloaded_error" } });
  });

  it("does not tell the caller that its credential is wrong when it is Weir's", () => {
    const refused = readError(401, {}, body("authentication_error", "x"));
    expect(writeError(refused, "r")).toMatchObject({ error: { type: "api_error" } });
  });
});
