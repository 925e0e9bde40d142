import { spawn } from "node:child_process";
import { request as openRequest } from "node:http";
import { connect as openSocket } from "node:net";
import {
  Code,
  ConnectError,
  createClient,
  type Interceptor,
  type Transport,
} from "@connectrpc/connect";
import {
  compressionGzip,
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from "@connectrpc/connect-node";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { ErrorInfoSchema } from "../../../gen/google/rpc/error_details_pb.ts";
import {
  Health,
  HealthCheckResponse_ServingStatus as Serving,
} from "../../../gen/grpc/health/v1/health_pb.ts";
import { Role } from "../../../gen/weir/v1/chat_pb.ts";
import { ChatService } from "../../../gen/weir/v1/chat_service_pb.ts";
import { EmbedService } from "../../../gen/weir/v1/embed_service_pb.ts";
import { ModelService } from "../../../gen/weir/v1/model_service_pb.ts";
import { eventually, stillness } from "../../../test/support/eventually.ts";
import { systemClock } from "../../mesh/clock.ts";
import { createDoors } from "../doors.ts";
import { openPort, type Port } from "../port.ts";
import { createAdminRelay } from "./admin-relay.ts";
import { TEST_KEY, TestHouse } from "./rpc-test-house.ts";

let house = new TestHouse();
let port: Port;

beforeAll(async () => {
  const adminRelay = createAdminRelay({ target: () => undefined, clock: systemClock });
  const current = new Proxy(house, { get: (_, name) => Reflect.get(house, name) });
  const corsOrigins = ["https://app.test"];
  const doors = createDoors({ house: current, rest: () => {}, adminRelay, corsOrigins });
  port = await openPort({
    host: "127.0.0.1",
    port: 0,
    reusePort: false,
    clock: systemClock,
    ...doors,
  });
});
afterAll(() => port.close());
beforeEach(() => {
  house = new TestHouse();
});

const withKey: Interceptor = (next) => (request) => {
  request.header.set("authorization", `Bearer ${TEST_KEY}`);
  return next(request);
};

const transports: Array<[string, (port: number) => Transport]> = [
  ["Connect, binary, HTTP/1.1", (at) => createConnectTransport(options(at, "1.1", true))],
  ["Connect, JSON, HTTP/1.1", (at) => createConnectTransport(options(at, "1.1", false))],
  ["Connect, binary, HTTP/2", (at) => createConnectTransport(options(at, "2", true))],
  ["gRPC, binary, HTTP/2", (at) => createGrpcTransport(options(at, "2", true))],
  ["gRPC, JSON, HTTP/2", (at) => createGrpcTransport(options(at, "2", false))],
  ["gRPC-Web, binary, HTTP/1.1", (at) => createGrpcWebTransport(options(at, "1.1", true))],
  ["gRPC-Web, binary, HTTP/2", (at) => createGrpcWebTransport(options(at, "2", true))],
];

function options(at: number, httpVersion: "1.1" | "2", useBinaryFormat: boolean) {
  return {
    baseUrl: `http://127.0.0.1:${at}`,
    httpVersion,
    useBinaryFormat,
    interceptors: [withKey],
    sendCompression: compressionGzip,
  };
}

for (const [name, createTransport] of transports) {
  describe(name, () => {
    const chats = () => createClient(ChatService, createTransport(port.port));

    it("answers a chat, gzip going in, and says who answered", async () => {
      let header = new Headers();
      const text = "hello ".repeat(500);
      const answer = await chats().createChat(chatOf("echo", text), {
        onHeader: (received) => {
          header = received;
        },
      });
      expect(answer.choices[0]?.message?.parts[0]?.part).toMatchObject({ value: { text } });
      expect(answer.usage?.inputTokens).toBe(3);
      expect(answer.cost?.costNanoUsd).toBe(1500n);
      expect(header.get("x-request-id")).toBe(house.calls[0]?.requestId);
      expect(header.get("x-weir-target")).toBe("sim/echo-1");
      expect(header.get("x-weir-cost-usd")).toBe("0.0000015");
    });

    it("streams an answer from started to finished", async () => {
      const kinds: Array<string | undefined> = [];
      for await (const { event } of chats().streamChat(chatOf("echo", "a b")))
        kinds.push(event.case);
      expect(kinds).toEqual(["started", "textDelta", "textDelta", "finished"]);
    });

    it("tells an error with its details, in unary calls and in streams", async () => {
      const unary = await failureOf(chats().createChat(chatOf("rate-limited", "x")));
      const stream = await failureOf(drain(chats().streamChat(chatOf("rate-limited", "x"))));
      for (const error of [unary, stream]) {
        expect(error.code).toBe(Code.ResourceExhausted);
        expect(error.rawMessage).toMatch(/^Wait – 100 %/);
        const [info] = error.findDetails(ErrorInfoSchema);
        expect(info).toMatchObject({ reason: "RATE_LIMITED", domain: "weir" });
      }
    });

    it("tells nothing of a fault of ours", async () => {
      const error = await failureOf(chats().createChat(chatOf("fault", "x")));
      expect(error.code).toBe(Code.Internal);
      expect(JSON.stringify(error)).not.toContain("secret");
    });

    it("ends a stream that breaks late with an error, after what was sent", async () => {
      const kinds: Array<string | undefined> = [];
      const read = async () => {
        const stream = chats().streamChat(chatOf("breaks-late", "x"));
        for await (const { event } of stream) kinds.push(event.case);
      };
      expect((await failureOf(read())).code).toBe(Code.Unavailable);
      expect(kinds).toEqual(["started", "textDelta"]);
    });

    it("keeps the deadline", async () => {
      // A machine may be too busy to begin a call in so short a time: the next has more.
      for (let timeoutMs = 50; house.calls.length === 0; timeoutMs *= 2) {
        const call = chats().createChat(chatOf("silent", "x"), { timeoutMs });
        expect((await failureOf(call)).code).toBe(Code.DeadlineExceeded);
      }
      await eventually(() => expect(house.cancelled.has("silent")).toBe(true));
    });

    it("tells the handler when the caller cancels in the middle of a stream", async () => {
      const stop = new AbortController();
      const read = async () => {
        const calling = { signal: stop.signal };
        for await (const { event } of chats().streamChat(chatOf("silent", "x"), calling)) {
          if (event.case === "textDelta") stop.abort();
        }
      };
      expect((await failureOf(read())).code).toBe(Code.Canceled);
      await eventually(() => {
        expect(house.cancelled.get("silent")).toMatchObject({ reason: "CALLER_GONE" });
      });
    });

    it("carries a flood to a slow reader without piling it up", async () => {
      let held = 0;
      let count = 0;
      for await (const _ of chats().streamChat(chatOf("flood", "x"))) {
        count += 1;
        if (count !== 5) continue;
        held = await stillness(() => house.flooded);
      }
      expect(held).toBeLessThan(1500);
      expect(count).toBe(2002);
    });

    it("refuses a request that breaks a limit, naming the field", async () => {
      const request = { chat: { ...chatOf("echo", "x").chat, sampling: { temperature: 3 } } };
      const error = await failureOf(chats().createChat(request));
      expect(error.code).toBe(Code.InvalidArgument);
      expect(error.rawMessage).toContain("sampling.temperature");
    });

    it("embeds", async () => {
      const embeds = createClient(EmbedService, createTransport(port.port));
      const inputs = [{ input: { case: "text" as const, value: "a" } }];
      const { embeddings } = await embeds.embed({ model: "m", inputs });
      expect(embeddings[0]?.values).toEqual([0.5, 0]);
    });

    it("lists models page by page, and tells about one", async () => {
      house.addModels("a", "b", "c");
      const models = createClient(ModelService, createTransport(port.port));
      const first = await models.listModels({ pageSize: 2 });
      expect(first.models.map((model) => model.name)).toEqual(["a", "b"]);
      const { nextPageToken: pageToken } = first;
      const second = await models.listModels({ pageSize: 2, pageToken });
      expect(second.models.map((model) => model.name)).toEqual(["c"]);
      expect(second.nextPageToken).toBe("");
      expect((await models.getModel({ model: "b" })).model?.name).toBe("b");
      expect((await failureOf(models.getModel({ model: "z" }))).code).toBe(Code.NotFound);
      for (const wrong of [{ pageSize: -1 }, { pageSize: 1001 }, { pageToken: "?" }]) {
        expect((await failureOf(models.listModels(wrong))).code).toBe(Code.InvalidArgument);
      }
    });

    it("watches health", async () => {
      // Watchers look once a second, and seconds are short here.
      const after = (ms: number, run: () => void) => systemClock.after(ms / 50, run);
      house = new TestHouse({ ...systemClock, after });
      const health = createClient(Health, createTransport(port.port));
      const seen: Serving[] = [];
      for await (const { status } of health.watch({ service: "" })) {
        seen.push(status);
        house.ready = false;
        if (seen.length === 2) break;
      }
      expect(seen).toEqual([Serving.SERVING, Serving.NOT_SERVING]);
      for await (const { status } of health.watch({ service: "none" })) {
        expect(status).toBe(Serving.SERVICE_UNKNOWN);
        break;
      }
    });

    it("tells in its protocol that Admin cannot be reached", async () => {
      const { AdminService } = await import("../../../gen/weir/admin/v1/admin_service_pb.ts");
      const { UsageService } = await import("../../../gen/weir/admin/v1/usage_service_pb.ts");
      const admin = createClient(AdminService, createTransport(port.port));
      const usage = createClient(UsageService, createTransport(port.port));
      const unary = await failureOf(admin.getTeam({ name: "teams/a" }));
      const stream = await failureOf(drain(usage.tailRequests({})));
      for (const error of [unary, stream]) {
        expect(error.code).toBe(Code.Unavailable);
        expect(error.rawMessage).toContain("control process");
      }
    });
  });
}

describe("createConnectDoor()", () => {
  it("says which RPC does not exist, to HTTP clients too", async () => {
    const answer = await post("/weir.v1.ChatService/Sing", "{}");
    expect(answer.status).toBe(404);
    expect(JSON.parse(answer.body)).toMatchObject({ code: "unimplemented" });
    expect(house.refusals).toEqual(["ROUTE_NOT_FOUND"]);
  });

  it("refuses malformed JSON, too deep JSON and unknown encodings", async () => {
    const deep = `${'{"chat":'.repeat(100_000)}1${"}".repeat(100_000)}`;
    for (const body of ["{", "[]", '{"chat": 1}', deep]) {
      const answer = await post("/weir.v1.ChatService/CreateChat", body);
      expect(answer.status).toBe(400);
      expect(answer.headers["x-request-id"]).toMatch(/^req_/);
    }
    const br = await post("/weir.v1.ChatService/CreateChat", "x", { "content-encoding": "br" });
    expect(br.status).toBe(501);
  });

  it("survives a Host field that makes no sense", async () => {
    const answer = await sendBytes(
      "POST /weir.v1.ChatService/CreateChat HTTP/1.1\r\nHost: a b<>\r\n" +
        "Content-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}",
    );
    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
    expect((await post("/weir.v1.ModelService/ListModels", "{}")).status).toBe(200);
  });

  it("answers a preflight of an allowed origin, and no other", async () => {
    const path = "/weir.v1.ChatService/CreateChat";
    const wish = { "access-control-request-method": "POST" };
    const yes = await post(path, "", { ...wish, origin: "https://app.test" }, "OPTIONS");
    expect(yes.status).toBe(204);
    expect(yes.headers["access-control-allow-origin"]).toBe("https://app.test");
    expect(yes.headers["access-control-allow-headers"]).toContain("authorization");
    const no = await post(path, "", { ...wish, origin: "https://evil.test" }, "OPTIONS");
    expect(no.status).toBe(403);
    expect(no.headers["access-control-allow-origin"]).toBeUndefined();
  });

  it("lets the scripts of an allowed origin read errors as well", async () => {
    const origin = "https://app.test";
    const answer = await post("/weir.v1.ChatService/CreateChat", "{}", { origin });
    expect(answer.status).toBe(400);
    expect(answer.headers["access-control-allow-origin"]).toBe(origin);
    expect(answer.headers["access-control-expose-headers"]).toContain("x-request-id");
  });

  it("says when to come back", async () => {
    const body = JSON.stringify({
      chat: { model: "rate-limited", messages: [{ role: "ROLE_USER", parts: [{ text: {} }] }] },
    });
    const answer = await post("/weir.v1.ChatService/CreateChat", body);
    expect(answer.status).toBe(429);
    expect(answer.headers["retry-after"]).toBe("2");
  });

  it("refuses bodies beyond the cap and says the cap", async () => {
    const body = `{"chat":{"model":"${"x".repeat(33 * 1024 * 1024)}"}}`;
    const answer = await post("/weir.v1.ChatService/CreateChat", body);
    expect(answer.status).toBe(429);
    expect(answer.body).toContain("33554432");
  });
});

describe("reflection", () => {
  it("is enough for buf curl, with both versions", async () => {
    const chat = JSON.stringify({
      chat: { model: "echo", messages: [{ role: "ROLE_USER", parts: [{ text: { text: "hi" } }] }] },
    });
    for (const version of ["grpc-v1", "grpc-v1alpha"]) {
      const printed = await bufCurl("--reflect-protocol", version, "-d", chat);
      expect(JSON.parse(printed)).toMatchObject({
        choices: [{ message: { parts: [{ text: { text: "hi" } }] } }],
      });
    }
  });

  it("tells buf curl what an error says", async () => {
    const chat = JSON.stringify({ chat: { model: "echo" } });
    await expect(bufCurl("--protocol", "grpc", "-d", chat)).rejects.toThrow(/invalid_argument/);
  });
});

function bufCurl(...flags: string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn("node_modules/.bin/buf", [
      "curl",
      "--http2-prior-knowledge",
      "-H",
      `authorization: Bearer ${TEST_KEY}`,
      ...flags,
      `http://127.0.0.1:${port.port}/weir.v1.ChatService/CreateChat`,
    ]);
    let printed = "";
    let complaint = "";
    child.stdout.on("data", (piece) => {
      printed += piece;
    });
    child.stderr.on("data", (piece) => {
      complaint += piece;
    });
    child.on("error", reject);
    child.on("close", (code) => (code === 0 ? resolve(printed) : reject(new Error(complaint))));
  });
}

function chatOf(model: string, text: string) {
  const part = { case: "text" as const, value: { text } };
  return { chat: { model, messages: [{ role: Role.USER, parts: [{ part }] }] } };
}

async function drain(stream: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of stream);
}

async function failureOf(promise: Promise<unknown>): Promise<ConnectError> {
  try {
    await promise;
  } catch (thrown) {
    return ConnectError.from(thrown);
  }
  throw new Error("nothing failed");
}

function post(
  path: string,
  body: string,
  headers: Record<string, string> = {},
  method = "POST",
): Promise<{ status: number; headers: Record<string, unknown>; body: string }> {
  return new Promise((resolve, reject) => {
    const request = openRequest({
      port: port.port,
      path,
      method,
      agent: false,
      headers: {
        "content-type": "application/json",
        authorization: `Bearer ${TEST_KEY}`,
        ...headers,
      },
    });
    request.on("response", (response) => {
      let text = "";
      response.on("data", (piece) => {
        text += piece;
      });
      response.on("end", () => {
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text });
      });
    });
    request.on("error", reject);
    request.end(body);
  });
}

function sendBytes(text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = openSocket(port.port, "127.0.0.1", () => socket.write(text));
    let answer = "";
    socket.on("data", (piece) => {
      answer += piece;
    });
    socket.on("error", reject);
    socket.on("close", () => resolve(answer));
  });
}
