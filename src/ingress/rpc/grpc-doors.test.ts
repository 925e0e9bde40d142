import { gzipSync } from "node:zlib";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { status as Code, type ServiceError } from "@grpc/grpc-js";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  QuotaFailureSchema,
  RetryInfoSchema,
} from "../../../gen/google/rpc/error_details_pb.ts";
import { StatusSchema } from "../../../gen/google/rpc/status_pb.ts";
import { Role } from "../../../gen/weir/v1/chat_pb.ts";
import { CreateChatRequestSchema } from "../../../gen/weir/v1/chat_service_pb.ts";
import { eventually, stillness } from "../../../test/support/eventually.ts";
import { systemClock } from "../../mesh/clock.ts";
import { createDoors } from "../doors.ts";
import { openPort, type Port } from "../port.ts";
import { createAdminRelay } from "./admin-relay.ts";
import {
  closeSession,
  GrpcTestClient,
  openSession,
  rawHeaders,
  sendRaw,
} from "./grpc-test-client.ts";
import { frame, TEST_KEY, TestHouse } from "./rpc-test-house.ts";

const CREATE = "weir.v1.ChatService/CreateChat";
const STREAM = "weir.v1.ChatService/StreamChat";
const EMBED = "weir.v1.EmbedService/Embed";

// The hot door and its reference: what holds of one holds of the other.
for (const hotDoor of [true, false]) {
  describe(hotDoor ? "gRPC at the hot door" : "gRPC at the connect door", () => {
    let house = new TestHouse();
    let port: Port;
    let client: GrpcTestClient;

    beforeAll(async () => {
      const adminRelay = createAdminRelay({ target: () => undefined, clock: systemClock });
      // The house changes with each test; the port stays.
      const current = new Proxy(house, { get: (_, name) => Reflect.get(house, name) });
      const rest = () => {};
      const doors = createDoors({ house: current, rest, adminRelay, hotDoor });
      port = await openPort({
        host: "127.0.0.1",
        port: 0,
        reusePort: false,
        clock: systemClock,
        ...doors,
      });
      client = new GrpcTestClient(port.port);
    });
    afterAll(() => {
      client.close();
      port.close();
    });
    beforeEach(() => {
      house = new TestHouse();
    });

    it("answers a chat in one message", async () => {
      const { messages, error } = await client.unary(CREATE, chatOf("echo", "hello there"));
      expect(error).toBeUndefined();
      expect(messages[0]).toMatchObject({
        choices: [
          { message: { parts: [{ text: { text: "hello there" } }] }, finish: { raw: "stop" } },
        ],
        usage: { inputTokens: 3, outputTokens: 2 },
        cost: { costNanoUsd: "1500", known: true },
        decision: { requestId: house.calls[0]?.requestId, policyRevision: "7" },
      });
    });

    it("folds events into one message when the upstream streams", async () => {
      const { messages } = await client.unary(CREATE, chatOf("length", "hello"));
      expect(messages[0]).toMatchObject({
        choices: [{ message: { parts: [{ text: {} }] }, finish: { reason: "FINISH_REASON_STOP" } }],
      });
    });

    it("streams an answer from started to finished", async () => {
      const { messages, error } = await client.stream(STREAM, chatOf("echo", "a bc d"));
      expect(error).toBeUndefined();
      expect(messages.map((message) => Object.keys(message)[0])).toEqual([
        "started",
        "textDelta",
        "textDelta",
        "textDelta",
        "finished",
      ]);
      expect(messages[0]).toMatchObject({ started: { decision: { provider: "sim" } } });
      expect(messages[2]).toMatchObject({ textDelta: { text: "bc " } });
      expect(messages[4]).toMatchObject({
        finished: {
          finish: { raw: "stop" },
          usage: { inputTokens: 3 },
          cost: { costNanoUsd: "1500" },
          timeToFirstToken: { seconds: "0", nanos: 12_500_000 },
          latency: { seconds: "2", nanos: 1_000_000 },
        },
      });
    });

    it("embeds a batch", async () => {
      const request = { model: "m", inputs: [{ text: "a" }, { text: "b" }] };
      const { messages } = await client.unary(EMBED, request);
      expect(messages[0]).toMatchObject({
        embeddings: [{ values: [0.5, 0] }, { index: 1, values: [0.5, 1] }],
        cost: { costNanoUsd: "1500" },
      });
    });

    it("says in the metadata who answered", async () => {
      const unary = await client.unary(CREATE, chatOf("echo", "x"));
      const stream = await client.stream(STREAM, chatOf("echo", "x"));
      for (const [at, { headers }] of [unary, stream].entries()) {
        expect(headers.getMap()).toMatchObject({
          "x-request-id": house.calls[at]?.requestId,
          "x-weir-target": "sim/echo-1",
          "x-weir-attempts": "1",
          "x-weir-policy-revision": "7",
        });
        expect(headers.get("x-weir-overhead-us")).toHaveLength(1);
      }
      expect(unary.headers.get("x-weir-cost-usd")).toEqual(["0.0000015"]);
    });

    it("tells an error with its details, in unary calls and in streams", async () => {
      for (const { error } of [
        await client.unary(CREATE, chatOf("rate-limited", "x")),
        await client.stream(STREAM, chatOf("rate-limited", "x")),
      ]) {
        expect(error?.code).toBe(Code.RESOURCE_EXHAUSTED);
        expect(error?.details).toBe("Wait – 100 % of the requests of this minute are used.");
        const details = readDetails(error);
        expect(details.info).toMatchObject({
          reason: "RATE_LIMITED",
          domain: "weir",
          metadata: { scope: "teams/a", limit: "3" },
        });
        expect(details.info?.metadata.request_id).toMatch(/^req_/);
        expect(details.retry?.retryDelay).toMatchObject({ seconds: 1n, nanos: 500_000_000 });
        expect(details.quota?.violations[0]?.subject).toBe("teams/a");
        expect(JSON.stringify(error)).not.toContain("never to be seen");
      }
    });

    it("tells nothing of a fault of ours but the request's id", async () => {
      const { error } = await client.unary(CREATE, chatOf("fault", "x"));
      expect(error?.code).toBe(Code.INTERNAL);
      expect(readDetails(error).info?.metadata.request_id).toBe(house.calls[0]?.requestId);
      expect(JSON.stringify(error)).not.toContain("secret");
    });

    it("ends a stream that breaks late with an error, after what was sent", async () => {
      const { messages, error } = await client.stream(STREAM, chatOf("breaks-late", "x"));
      expect(messages).toHaveLength(2);
      expect(error?.code).toBe(Code.UNAVAILABLE);
      expect(readDetails(error).info?.reason).toBe("UPSTREAM_FAILED");
    });

    it("refuses who shows no key or a wrong one, and counts the refusals", async () => {
      const request = chatOf("echo", "x");
      const none = await client.unary(CREATE, request, {}, {});
      const wrong = await client.unary(CREATE, request, {}, { authorization: "Bearer wk_other" });
      const basic = await client.unary(CREATE, request, {}, { authorization: "Basic d2s=" });
      for (const { error } of [none, wrong, basic]) expect(error?.code).toBe(Code.UNAUTHENTICATED);
      expect(readDetails(none.error).info?.reason).toBe("CREDENTIAL_MISSING");
      expect(readDetails(wrong.error).info?.reason).toBe("CREDENTIAL_UNKNOWN");
      expect(house.refusals).toEqual([
        "CREDENTIAL_MISSING",
        "CREDENTIAL_UNKNOWN",
        "CREDENTIAL_MISSING",
      ]);
    });

    it("tells a stranger nothing of a malformed request but that it is nobody's", async () => {
      const wrong = { authorization: "Bearer wk_other" };
      for (const method of [CREATE, STREAM, EMBED]) {
        const { error } = await client.unary(method, {}, {}, wrong);
        expect(error?.code, method).toBe(Code.UNAUTHENTICATED);
        expect(readDetails(error).info?.reason, method).toBe("CREDENTIAL_UNKNOWN");
      }
      expect(house.refusals).toEqual(Array(3).fill("CREDENTIAL_UNKNOWN"));
    });

    it("takes the key from x-api-key too", async () => {
      const { error } = await client.unary(
        CREATE,
        chatOf("echo", "x"),
        {},
        { "x-api-key": TEST_KEY },
      );
      expect(error).toBeUndefined();
    });

    it("names the field that is at fault", async () => {
      const { error } = await client.unary(CREATE, { chat: { model: "echo" } });
      expect(error?.code).toBe(Code.INVALID_ARGUMENT);
      expect(readDetails(error).bad?.fieldViolations[0]?.field).toBe("messages");
      expect(house.refusals).toEqual(["INVALID_REQUEST"]);
    });

    it("hands the deadline on and keeps it", async () => {
      let timeoutMs = 75;
      // What a busy machine cannot begin in time is asked again with more.
      while (house.calls.length === 0) {
        timeoutMs *= 2;
        const deadline = Date.now() + timeoutMs;
        const { error } = await client.unary(CREATE, chatOf("silent", "x"), { deadline });
        expect(error?.code).toBe(Code.DEADLINE_EXCEEDED);
      }
      const call = house.calls[0];
      const givenMs = (call?.deadlineMs ?? 0) - (call?.startedMs ?? 0);
      expect(givenMs).toBeGreaterThan(0);
      expect(givenMs).toBeLessThan(timeoutMs + 0.001);
      await eventually(() => expect(house.cancelled.has("silent")).toBe(true));
    });

    it("ends a call at its deadline when the caller would wait longer", async () => {
      const session = openSession(port.port);
      const message = toBinary(CreateChatRequestSchema, typedChat("silent", "x"));
      for (let timeoutMs = 50; house.calls.length === 0; timeoutMs *= 2) {
        const headers = { ...rawHeaders(CREATE), "grpc-timeout": `${timeoutMs}m` };
        const { headers: head, trailers } = await sendRaw(session, headers, frame(0, message));
        expect(trailers["grpc-status"] ?? head["grpc-status"]).toBe("4");
      }
      await closeSession(session);
      expect(house.cancelled.get("silent")).toMatchObject({ reason: "DEADLINE_EXCEEDED" });
    });

    it("refuses a deadline that is none", async () => {
      const session = openSession(port.port);
      const headers = { ...rawHeaders(CREATE), "grpc-timeout": "5 minutes" };
      const reply = await sendRaw(session, headers, frame(0, new Uint8Array()));
      await closeSession(session);
      expect(reply.headers["grpc-status"] ?? reply.trailers["grpc-status"]).toBe("3");
    });

    it("tells the handler when the caller cancels in the middle of a stream", async () => {
      const { error } = await client.stream(STREAM, chatOf("silent", "x"), (message, call) => {
        if ("textDelta" in message) call.cancel();
      });
      expect(error?.code).toBe(Code.CANCELLED);
      await eventually(() => {
        expect(house.cancelled.get("silent")).toMatchObject({ reason: "CALLER_GONE" });
      });
    });

    it("tells the handler when the caller's connection breaks", async () => {
      const session = openSession(port.port);
      const message = toBinary(CreateChatRequestSchema, typedChat("silent", "x"));
      const stream = session.request(rawHeaders(STREAM));
      stream.on("error", () => {});
      stream.on("data", () => session.destroy());
      stream.end(frame(0, message));
      await eventually(() => {
        expect(house.cancelled.get("silent")).toMatchObject({ reason: "CALLER_GONE" });
      });
    });

    it("holds the handler back from a caller who does not read, then sends all", async () => {
      let paused = false;
      let held = 0;
      const { messages, error } = await client.stream(STREAM, chatOf("flood", "x"), (_, call) => {
        if (paused) return;
        paused = true;
        call.pause();
        void stillness(() => house.flooded).then((flooded) => {
          held = flooded;
          call.resume();
        });
      });
      expect(error).toBeUndefined();
      // 2,000 chunks are 32 MB; the windows and buffers between the two hold a few.
      expect(held).toBeGreaterThan(0);
      expect(held).toBeLessThan(1000);
      expect(messages).toHaveLength(2002);
    });

    it("reads gzip, from a foreign client", async () => {
      const zipping = new GrpcTestClient(port.port, { "grpc.default_compression_algorithm": 2 });
      const text = "again and ".repeat(2000);
      const { messages, error } = await zipping.unary(CREATE, chatOf("echo", text));
      zipping.close();
      expect(error).toBeUndefined();
      expect(JSON.stringify(messages[0])).toContain(text);
    });

    it("refuses a message that inflates beyond the cap", async () => {
      const bomb = gzipSync(Buffer.alloc(40 * 1024 * 1024));
      const headers = { ...rawHeaders(CREATE), "grpc-encoding": "gzip" };
      const session = openSession(port.port);
      const reply = await sendRaw(session, headers, frame(1, bomb));
      await closeSession(session);
      expect(reply.headers["grpc-status"] ?? reply.trailers["grpc-status"]).toBe("8");
    });

    it("refuses other encodings and says which it knows", async () => {
      const session = openSession(port.port);
      const headers = { ...rawHeaders(CREATE), "grpc-encoding": "br" };
      const reply = await sendRaw(session, headers, frame(1, Buffer.from("abc")));
      await closeSession(session);
      expect(reply.headers["grpc-status"] ?? reply.trailers["grpc-status"]).toBe("12");
      // connect-node says it in the text only.
      const { headers: head, trailers } = reply;
      expect(`${head["grpc-accept-encoding"]} ${trailers["grpc-message"]}`).toContain("gzip");
    });

    it("takes a message of 10 MB", async () => {
      const text = "x".repeat(10_000_000);
      const { messages, error } = await client.unary(CREATE, chatOf("length", text));
      expect(error).toBeUndefined();
      expect(JSON.stringify(messages[0])).toMatch(/"text":"100000\d\d"/);
    });

    it("refuses a message beyond the cap, says the cap, and serves the next call", async () => {
      const text = "x".repeat(34 * 1024 * 1024);
      const { error } = await client.unary(CREATE, chatOf("echo", text));
      expect(error?.code).toBe(Code.RESOURCE_EXHAUSTED);
      expect(error?.details).toMatch(/33554432/);
      const next = await client.unary(CREATE, chatOf("echo", "x"));
      expect(next.error).toBeUndefined();
    });

    const malformed: Array<[string, Uint8Array, string]> = [
      ["no message at all", new Uint8Array(), ""],
      ["half a prefix", new Uint8Array([0, 0]), ""],
      ["half a message", frame(0, new Uint8Array(20)).subarray(0, 15), ""],
      // connect-node says INTERNAL here; the caller's fault is no fault of ours.
      ["no protobuf", frame(0, Buffer.from("not protobuf at all")), hotDoor ? "3" : "13"],
      [
        "two messages",
        Buffer.concat([frame(0, new Uint8Array()), frame(0, new Uint8Array())]),
        "12",
      ],
    ];
    for (const [what, body, code] of malformed) {
      it(`refuses ${what}`, async () => {
        const session = openSession(port.port);
        const reply = await sendRaw(session, rawHeaders(CREATE), body);
        await closeSession(session);
        const status = reply.headers["grpc-status"] ?? reply.trailers["grpc-status"];
        if (code === "") expect(["3", "12"]).toContain(status);
        else expect(status).toBe(code);
        expect(house.calls).toHaveLength(0);
      });
    }

    it("refuses a content type that it does not know", async () => {
      const session = openSession(port.port);
      const headers = { ...rawHeaders(CREATE), "content-type": "text/plain" };
      const reply = await sendRaw(session, headers, frame(0, new Uint8Array()));
      await closeSession(session);
      expect(reply.headers[":status"]).toBe(415);
    });

    it("says UNIMPLEMENTED for an RPC that does not exist", async () => {
      const session = openSession(port.port);
      for (const path of ["weir.v1.ChatService/Sing", "weir.v9.None/Such", "other.Service/Call"]) {
        const reply = await sendRaw(session, rawHeaders(path), frame(0, new Uint8Array()));
        expect(reply.headers).toMatchObject({ ":status": 200, "grpc-status": "12" });
      }
      await closeSession(session);
    });

    it("checks its health", async () => {
      const check = (service: string) => client.unary("grpc.health.v1.Health/Check", { service });
      expect((await check("")).messages[0]).toMatchObject({ status: "SERVING" });
      expect((await check("weir.v1.ChatService")).messages[0]).toMatchObject({ status: "SERVING" });
      expect((await check("none.Such")).error?.code).toBe(Code.NOT_FOUND);
      house.ready = false;
      expect((await check("")).messages[0]).toMatchObject({ status: "NOT_SERVING" });
    });
  });
}

function chatOf(model: string, text: string): object {
  return { chat: { model, messages: [{ role: "ROLE_USER", parts: [{ text: { text } }] }] } };
}

function typedChat(model: string, text: string) {
  const part = { case: "text" as const, value: { text } };
  return create(CreateChatRequestSchema, {
    chat: { model, messages: [{ role: Role.USER, parts: [{ part }] }] },
  });
}

function readDetails(error: ServiceError | undefined) {
  const [bytes] = error?.metadata.get("grpc-status-details-bin") ?? [];
  if (!(bytes instanceof Buffer)) return {};
  const { details } = fromBinary(StatusSchema, bytes);
  const [info] = details.flatMap((any) => anyUnpack(any, ErrorInfoSchema) ?? []);
  const [retry] = details.flatMap((any) => anyUnpack(any, RetryInfoSchema) ?? []);
  const [quota] = details.flatMap((any) => anyUnpack(any, QuotaFailureSchema) ?? []);
  const [bad] = details.flatMap((any) => anyUnpack(any, BadRequestSchema) ?? []);
  return { info, retry, quota, bad };
}
