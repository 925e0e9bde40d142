import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import { describe, expect, it, onTestFinished } from "vitest";
import {
  ErrorInfoSchema,
  QuotaFailureSchema,
  RetryInfoSchema,
} from "../../gen/google/rpc/error_details_pb.ts";
import { Role } from "../../gen/weir/v1/chat_pb.ts";
import { ChatService } from "../../gen/weir/v1/chat_service_pb.ts";
import { createDoors } from "../../src/ingress/doors.ts";
import { openPort } from "../../src/ingress/port.ts";
import { createRestDoor } from "../../src/ingress/rest/door.ts";
import { createAdminRelay } from "../../src/ingress/rpc/admin-relay.ts";
import { systemClock } from "../../src/mesh/clock.ts";
import { type ErrorReason, MeshError } from "../../src/mesh/errors.ts";
import type { ChatHandler } from "../../src/mesh/rooms.ts";
import { createPretendHouse, echo, KEY } from "./pretend-house.ts";

const metadata = {
  policy: "policies/p",
  scope: "teams/a",
  dimension: "requests",
  limit: "20",
  remaining: "0",
  resets_at: "2026-12-01T00:00:00.000Z",
  downgrade_to: "small",
};

const rates = {
  requests: { limit: 20, remaining: 0, resetMs: 60_000 },
  tokens: { limit: 4000, remaining: 3000, resetMs: 500 },
};

/** Marks the call as the quota room does, and goes on. */
function limited(then: ChatHandler): ChatHandler {
  return (call, ask, sink) => {
    const reserve = () => {
      throw new Error("Nothing is reserved here.");
    };
    call.trail.quota = { reserve, end: () => {}, rates: () => rates };
    call.trail.clampedBy = "policies/c";
    call.trail.downgradedBy = "policies/d";
    call.trail.unprovenBy.push("policies/u");
    return then(call, ask, sink);
  };
}

/** All doors on one port; resolves with its address. */
async function open(chat: ChatHandler): Promise<string> {
  const house = createPretendHouse({ chat: limited(chat) });
  const adminRelay = createAdminRelay({ target: () => undefined, clock: systemClock });
  const doors = createDoors({ house, rest: createRestDoor(house), adminRelay });
  const where = { host: "127.0.0.1", port: 0, reusePort: false };
  const port = await openPort({ ...where, clock: systemClock, ...doors });
  onTestFinished(() => port.close());
  return `http://127.0.0.1:${port.port}`;
}

function post(url: string, path: string): Promise<Response> {
  const messages = [{ role: "user", content: "hi" }];
  return fetch(url + path, {
    method: "POST",
    headers: { authorization: `Bearer ${KEY}` },
    body: JSON.stringify({ model: "m", max_tokens: 5, messages }),
  });
}

function ask(transport: Transport, onHeader: (headers: Headers) => void): Promise<unknown> {
  const parts = [{ part: { case: "text" as const, value: { text: "hi" } } }];
  const chat = { model: "m", messages: [{ role: Role.USER, parts }] };
  const headers = { authorization: `Bearer ${KEY}` };
  return createClient(ChatService, transport).createChat({ chat }, { headers, onHeader });
}

const transports = [
  ["gRPC", (baseUrl: string) => createGrpcTransport({ baseUrl })],
  ["Connect", (baseUrl: string) => createConnectTransport({ baseUrl, httpVersion: "1.1" })],
] as const;

const refusals: Array<[ErrorReason, number, string, string, Code]> = [
  ["BUDGET_EXHAUSTED", 429, "insufficient_quota", "rate_limit_error", Code.ResourceExhausted],
  ["RATE_LIMITED", 429, "rate_limit_error", "rate_limit_error", Code.ResourceExhausted],
  ["QUOTA_UNAVAILABLE", 503, "server_error", "overloaded_error", Code.Unavailable],
];

for (const [reason, status, openai, anthropic, code] of refusals) {
  describe(`${reason} at the doors`, () => {
    const refuse = () =>
      Promise.reject(new MeshError(reason, "Ask your team.", { metadata, retryAfterMs: 2_500 }));

    it("has OpenAI's type, the facts and the rates", async () => {
      const answer = await post(await open(refuse), "/v1/chat/completions");
      expect(answer.status).toBe(status);
      const { error } = JSON.parse(await answer.text());
      expect(error).toMatchObject({ type: openai, metadata: { reason, ...metadata } });
      expect(answer.headers.get("retry-after")).toBe("3");
      expect(answer.headers.get("x-ratelimit-remaining-requests")).toBe("0");
      expect(answer.headers.get("x-ratelimit-reset-tokens")).toBe("500ms");
    });

    it("has Anthropic's type, the facts and the rates", async () => {
      const answer = await post(await open(refuse), "/v1/messages");
      expect(answer.status).toBe(status);
      const { error } = JSON.parse(await answer.text());
      expect(error).toMatchObject({ type: anthropic, metadata: { reason, ...metadata } });
      expect(answer.headers.get("retry-after")).toBe("3");
      expect(answer.headers.get("anthropic-ratelimit-requests-remaining")).toBe("0");
      expect(answer.headers.get("x-ratelimit-remaining-requests")).toBeNull();
    });

    for (const [name, connect] of transports) {
      it(`has a code, the facts and when to come back in ${name}`, async () => {
        const transport = connect(await open(refuse));
        const thrown = await ask(transport, () => {}).catch((each: unknown) => each);
        const error = ConnectError.from(thrown);
        expect(error.code).toBe(code);
        expect(error.findDetails(ErrorInfoSchema)[0]).toMatchObject({ reason, metadata });
        const [failure] = error.findDetails(QuotaFailureSchema);
        expect(failure?.violations).toMatchObject([{ subject: "teams/a" }]);
        const [retry] = error.findDetails(RetryInfoSchema);
        expect(retry?.retryDelay).toMatchObject({ seconds: 2n, nanos: 500_000_000 });
        expect(error.metadata.get("x-ratelimit-limit-requests")).toBe("20");
        if (name === "Connect") expect(error.metadata.get("retry-after")).toBe("3");
      });
    }
  });
}

describe("a good answer", () => {
  const told = {
    "x-weir-quota-clamped": "policies/c",
    "x-weir-downgraded-by": "policies/d",
    "x-weir-quota-unproven": "policies/u",
    "x-ratelimit-limit-requests": "20",
    "x-ratelimit-reset-requests": "1m0s",
    "x-ratelimit-remaining-tokens": "3000",
  };

  it("tells over REST what limits did", async () => {
    const answer = await post(await open(echo), "/v1/chat/completions");
    expect(answer.status).toBe(200);
    expect(Object.fromEntries(answer.headers)).toMatchObject(told);
  });

  for (const [name, connect] of transports) {
    it(`tells in ${name}'s header what limits did`, async () => {
      let headers = new Headers();
      await ask(connect(await open(echo)), (given) => {
        headers = given;
      });
      expect(Object.fromEntries(headers)).toMatchObject(told);
    });
  }
});
