import { describe, expect, it } from "vitest";
import { type ErrorReason, MeshError } from "../../mesh/errors.ts";
import { isJsonObject, type JsonValue } from "../../mesh/json.ts";
import { readError, writeError } from "./errors.ts";
import { parseDuration, readRetryAfter } from "./retry-after.ts";

function read(status: number, body: JsonValue, headers: Record<string, string> = {}): MeshError {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  return readError(status, headers, Buffer.from(text));
}

function written(error: MeshError): JsonValue | undefined {
  const { error: object } = writeError(error, "req_1");
  return object;
}

describe("readError()", () => {
  const told = (code: string, message = "words") => ({ error: { message, type: "t", code } });
  const cases: Array<[number, JsonValue, ErrorReason]> = [
    [400, told("invalid_value"), "UPSTREAM_REFUSED"],
    [400, told("context_length_exceeded"), "CONTEXT_TOO_LONG"],
    [400, { message: "This model's maximum context length is 4096 tokens." }, "CONTEXT_TOO_LONG"],
    [400, told("content_filter"), "CONTENT_BLOCKED"],
    [400, told("content_policy_violation"), "CONTENT_BLOCKED"],
    [400, [{ error: { code: 400, message: "API key not valid." } }], "UPSTREAM_CREDENTIAL"],
    [401, told("invalid_api_key"), "UPSTREAM_CREDENTIAL"],
    [402, told("", "Insufficient Balance"), "UPSTREAM_CREDENTIAL"],
    [403, told(""), "UPSTREAM_CREDENTIAL"],
    [404, told("model_not_found"), "UPSTREAM_REFUSED"],
    [408, "", "UPSTREAM_TIMEOUT"],
    [413, "too big", "UPSTREAM_REFUSED"],
    [422, { detail: [{ loc: ["body"], msg: "no" }] }, "UPSTREAM_REFUSED"],
    [429, told("rate_limit_exceeded"), "UPSTREAM_RATE_LIMITED"],
    [429, told("insufficient_quota"), "UPSTREAM_RATE_LIMITED"],
    [500, told("x"), "UPSTREAM_FAILED"],
    [502, "<html>Bad Gateway</html>", "UPSTREAM_FAILED"],
    [503, "", "UPSTREAM_FAILED"],
    [504, "", "UPSTREAM_TIMEOUT"],
    [302, "", "UPSTREAM_FAILED"],
    [500, "[]", "UPSTREAM_FAILED"],
    [500, "null", "UPSTREAM_FAILED"],
  ];
  for (const [status, body, reason] of cases) {
    it(`reads ${status} ${JSON.stringify(body)} as ${reason}`, () => {
      expect(read(status, body).reason).toBe(reason);
      expect(read(status, body).details.upstream?.status).toBe(status);
      expect(read(status, body).message).not.toBe("");
    });
  }

  it("tells callers the vendor's words when these are about their request", () => {
    expect(read(400, told("x", "Unsupported value: temperature")).message).toBe(
      "Unsupported value: temperature",
    );
    expect(read(422, { detail: "no such field" }).message).toBe("no such field");
    expect(read(400, { error: "plain words" }).message).toBe("plain words");
    expect(read(400, { object: "error", message: "vLLM's words" }).message).toBe("vLLM's words");
  });

  it("keeps the vendor's words about its account from callers", () => {
    for (const status of [401, 403, 429, 500]) {
      const error = read(status, told("c", "org-secret is over its limit"));
      expect(error.message).not.toContain("org-secret");
      expect(error.details.internal).toContain("org-secret");
    }
  });

  it("says when to come back", () => {
    expect(read(429, "", { "retry-after": "7" }).details.retryAfterMs).toBe(7000);
    expect(read(429, "").details.retryAfterMs).toBeUndefined();
  });
});

describe("readRetryAfter()", () => {
  const cases: Array<[Record<string, string>, number | undefined]> = [
    [{}, undefined],
    [{ "retry-after": "soon" }, undefined],
    [{ "retry-after": "1.5" }, 1500],
    [{ "retry-after": "3", "retry-after-ms": "250" }, 250],
    [
      {
        "retry-after": "Wed, 21 Oct 2026 07:28:10 GMT",
        date: "Wed, 21 Oct 2026 07:28:00 GMT",
      },
      10_000,
    ],
    [{ "retry-after": "999999999" }, 86_400_000],
    [{ "x-ratelimit-reset-requests": "1s", "x-ratelimit-reset-tokens": "6m0s" }, 360_000],
    [
      {
        "x-ratelimit-reset-requests": "1s",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-tokens": "6m0s",
      },
      1000,
    ],
  ];
  for (const [headers, ms] of cases) {
    it(`reads ${JSON.stringify(headers)}`, () => {
      expect(readRetryAfter(headers)).toBe(ms);
    });
  }

  it("parses durations", () => {
    const durations = ["20ms", "1h2m3.5s", "7.66s", "2", "", "1x", "s"].map(parseDuration);
    const none = undefined;
    expect(durations).toEqual([20, 3_723_500, 7660, 2000, none, none, none]);
  });
});

describe("writeError()", () => {
  it("keeps the vendor's own object when the fault is the request's", () => {
    const error = { message: "no", type: "invalid_request_error", param: "stop", code: "bad" };
    expect(written(read(400, { error }))).toMatchObject(error);
  });

  it("shows nothing of the vendor's object when the fault is the operator's", () => {
    const error = { message: "no", type: "auth", param: "key", code: "invalid_api_key" };
    expect(written(read(401, { error }))).toMatchObject({
      type: "server_error",
      param: null,
      code: "upstream_credential",
    });
  });

  it("names field, reason, request and facts of an error of ours", () => {
    const error = new MeshError("BUDGET_EXHAUSTED", "Spent.", {
      field: "model",
      metadata: { policy: "p" },
      internal: "secret",
    });
    expect(written(error)).toEqual({
      message: "Spent.",
      type: "insufficient_quota",
      param: "model",
      code: "budget_exhausted",
      metadata: { reason: "BUDGET_EXHAUSTED", request_id: "req_1", policy: "p" },
    });
  });

  it("says in OpenAI's words what another dialect's vendor said", () => {
    const error = new MeshError("CONTEXT_TOO_LONG", "prompt is too long", {
      upstream: { status: 400, type: "invalid_request_error", code: "", param: "" },
    });
    const object = written(error);
    expect(isJsonObject(object) && object.code).toBe("context_length_exceeded");
  });
});
