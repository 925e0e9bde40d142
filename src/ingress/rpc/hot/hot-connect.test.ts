import { Agent, type IncomingHttpHeaders, request as openRequest } from "node:http";
import { connect } from "node:http2";
import { gzipSync } from "node:zlib";
import { type DescMessage, type MessageShape, toBinary, toJsonString } from "@bufbuild/protobuf";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  CreateChatRequestSchema,
  StreamChatRequestSchema,
} from "../../../../gen/weir/v1/chat_service_pb.ts";
import { EmbedRequestSchema } from "../../../../gen/weir/v1/embed_service_pb.ts";
import { eventually, stillness } from "../../../../test/support/eventually.ts";
import { systemClock } from "../../../mesh/clock.ts";
import { createDoors } from "../../doors.ts";
import { openPort, type Port } from "../../port.ts";
import { createAdminRelay } from "../admin-relay.ts";
import { frame, TEST_KEY, TestHouse } from "../rpc-test-house.ts";
import { arbitraryMessage } from "./arbitrary-message.ts";

const hotHouse = new TestHouse();
const referenceHouse = new TestHouse();
const agent = new Agent({ keepAlive: true });
let hot: Port;
let reference: Port;

beforeAll(async () => {
  hot = await open(hotHouse, true);
  reference = await open(referenceHouse, false);
});
afterAll(() => {
  agent.destroy();
  hot.close();
  reference.close();
});

function open(house: TestHouse, hotDoor: boolean): Promise<Port> {
  const adminRelay = createAdminRelay({ target: () => undefined, clock: systemClock });
  const doors = createDoors({ house, rest: () => {}, adminRelay, hotDoor, corsOrigins: ["*"] });
  const at = { host: "127.0.0.1", port: 0, reusePort: false, clock: systemClock };
  return openPort({ ...at, ...doors });
}

interface Asked {
  readonly method?: string;
  readonly path?: string;
  readonly headers?: Record<string, string>;
  readonly body?: Buffer | string;
  /** Sends the body without its length. */
  readonly chunked?: boolean;
}

interface Answered {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

function send(port: Port, asked: Asked, pause?: () => Promise<void>): Promise<Answered> {
  const { method = "POST", path = CREATE_CHAT, body = "", chunked = false } = asked;
  return new Promise((resolve, reject) => {
    const request = openRequest({ port: port.port, path, method, agent });
    const base = { "content-type": "application/json", authorization: `Bearer ${TEST_KEY}` };
    for (const [name, value] of Object.entries({ ...base, ...asked.headers })) {
      if (value !== "") request.setHeader(name, value);
    }
    if (!chunked) request.setHeader("content-length", Buffer.byteLength(body));
    request.on("response", async (response) => {
      const pieces: Buffer[] = [];
      await pause?.();
      response.on("data", (piece: Buffer) => pieces.push(piece));
      response.on("end", () => {
        const text = Buffer.concat(pieces).toString("latin1");
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text });
      });
    });
    request.on("error", reject);
    request.end(body);
  });
}

function sendHttp2(port: Port, asked: Asked, pause?: () => Promise<void>): Promise<Answered> {
  const { method = "POST", path = CREATE_CHAT, body = "" } = asked;
  return new Promise((resolve, reject) => {
    const session = connect(`http://127.0.0.1:${port.port}`);
    session.on("error", reject);
    const base = { "content-type": "application/json", authorization: `Bearer ${TEST_KEY}` };
    const fields = Object.entries({ ...base, ...asked.headers }).filter(
      ([, value]) => value !== "",
    );
    const headers = { ":method": method, ":path": path, ...Object.fromEntries(fields) };
    const stream = session.request(headers, { endStream: false });
    let received: IncomingHttpHeaders = {};
    const pieces: Buffer[] = [];
    stream.on("response", async (answered) => {
      received = answered;
      await pause?.();
      stream.on("data", (piece: Buffer) => pieces.push(piece));
    });
    stream.on("end", () => {
      session.close();
      const { ":status": status, ...others } = received;
      const text = Buffer.concat(pieces).toString("latin1");
      resolve({ status: Number(status), headers: others, body: text });
    });
    stream.on("error", reject);
    stream.end(body);
  });
}

/** An answer without what differs from call to call. */
function normalize({ status, headers, body }: Answered) {
  const { date: _date, "x-weir-overhead-us": _overhead, ...others } = headers;
  const id = String(headers["x-request-id"]);
  // The details of an error hold the id in base64, and in their JSON as it is.
  const replaced = body.replaceAll(id, "ID").replace(/"value":"[^"]*"/g, "");
  return { status, headers: { ...others, "x-request-id": id.slice(0, 4) }, body: replaced };
}

async function expectSameAnswer(asked: Asked, sendOver = send): Promise<Answered> {
  const [fast, slow] = await Promise.all([sendOver(hot, asked), sendOver(reference, asked)]);
  expect(normalize(fast)).toEqual(normalize(slow));
  return fast;
}

const STREAM_CHAT = "/weir.v1.ChatService/StreamChat";
const withGzip = { "connect-content-encoding": "gzip" };
const CREATE_CHAT = "/weir.v1.ChatService/CreateChat";
const EMBED = "/weir.v1.EmbedService/Embed";
const parts = [{ text: { text: "Größe 😀" } }];

function frameText(flag: number, body: string | Buffer): Buffer {
  return frame(flag, Buffer.from(body));
}

function chatOf(model: string, more: object = {}): string {
  return JSON.stringify({ chat: { model, messages: [{ role: "ROLE_USER", parts }], ...more } });
}

const cases: Array<[string, Asked]> = [
  ["a sound request", { body: chatOf("echo") }],
  ["a request's length", { body: chatOf("length", { sampling: { temperature: 0.5 } }) }],
  ["fields that it does not know", { body: chatOf("echo", { novelty: [1, { a: 2 }] }) }],
  ["an enum by its number", { body: chatOf("echo").replace('"ROLE_USER"', "3") }],
  ["an enum that it does not know", { body: chatOf("echo").replace("ROLE_USER", "ROLE_X") }],
  ["a byte order mark", { body: `\ufeff${chatOf("echo")}` }],
  ["letters that are not UTF-8", { body: Buffer.from(chatOf("echo"), "latin1") }],
  ["nothing", { body: "" }],
  ["an empty object", { body: "{}" }],
  ["broken JSON", { body: "{" }],
  ["JSON of another kind", { body: "[]" }],
  ["JSON that is too deep", { body: `${'{"chat":'.repeat(20_000)}1${"}".repeat(20_000)}` }],
  ["a field that is at fault", { body: chatOf("echo", { sampling: { temperature: 3 } }) }],
  ["a model that does not exist", { body: chatOf("nobody") }],
  ["an error that passes", { body: chatOf("rate-limited") }],
  ["a fault of ours", { body: chatOf("fault") }],
  ["an answer that breaks late", { body: chatOf("breaks-late") }],
  ["no key", { body: chatOf("echo"), headers: { authorization: "" } }],
  ["a wrong key", { body: chatOf("echo"), headers: { authorization: "Bearer wrong" } }],
  ["a wrong key and a fault", { body: "{}", headers: { authorization: "Bearer wrong" } }],
  ["an origin", { body: chatOf("echo"), headers: { origin: "https://app.test" } }],
  ["a content type with a charset", withType("application/json; charset=utf-8")],
  ["a content type in capitals", withType("Application/JSON")],
  ["a content type that it does not know", withType("application/yaml")],
  ["JSON that says it is binary", withType("application/proto")],
  ["a deadline", { body: chatOf("echo"), headers: { "connect-timeout-ms": "60000" } }],
  ["a deadline of no time", { body: chatOf("echo"), headers: { "connect-timeout-ms": "0" } }],
  ["a deadline that is none", { body: chatOf("echo"), headers: { "connect-timeout-ms": "1s" } }],
  [
    "a deadline too long",
    { body: chatOf("echo"), headers: { "connect-timeout-ms": "9999999999" } },
  ],
  ["gzip", { body: gzipSync(chatOf("echo")), headers: { "content-encoding": "gzip" } }],
  ["gzip that is none", { body: chatOf("echo"), headers: { "content-encoding": "gzip" } }],
  ["another encoding", { body: chatOf("echo"), headers: { "content-encoding": "br" } }],
  ["identity", { body: chatOf("echo"), headers: { "content-encoding": "identity" } }],
  ["a wish for gzip", { body: chatOf("echo"), headers: { "accept-encoding": "gzip" } }],
  ["a version", { body: chatOf("echo"), headers: { "connect-protocol-version": "1" } }],
  ["a body without its length", { body: chatOf("echo"), chunked: true }],
  ["another method", { method: "GET" }],
  ["a query", { path: `${CREATE_CHAT}?a=1`, body: chatOf("echo") }],
  ["texts to embed", { path: EMBED, body: '{"model":"m","inputs":[{"text":"a"},{"text":"b"}]}' }],
  ["nothing to embed", { path: EMBED, body: '{"model":"m"}' }],
];

const streamCases: Array<[string, Asked]> = [
  ["a sound request", streamOf(chatOf("echo"))],
  ["a request's length", streamOf(chatOf("length", { sampling: { temperature: 0.5 } }))],
  ["fields that it does not know", streamOf(chatOf("echo", { novelty: [1, { a: 2 }] }))],
  ["an empty object", streamOf("{}")],
  ["broken JSON", streamOf("{")],
  ["an empty message", streamOf("")],
  ["an empty body", { ...streamOf(""), body: "" }],
  ["half a message", { ...streamOf(""), body: frameText(0, chatOf("echo")).subarray(0, 30) }],
  ["two messages", joinFrames(frameText(0, chatOf("echo")), frameText(0, chatOf("echo")))],
  ["flags that mean nothing here", joinFrames(frameText(4, chatOf("echo")))],
  ["an end where a message belongs", joinFrames(frameText(2, "{}"))],
  ["a message said to be gzip", joinFrames(frameText(1, gzipSync(chatOf("echo"))))],
  ["a message that is gzip", streamOf(gzipSync(chatOf("echo")), 1, withGzip)],
  ["a message that might be gzip", streamOf(chatOf("echo"), 0, withGzip)],
  ["a field that is at fault", streamOf(chatOf("echo", { sampling: { temperature: 3 } }))],
  ["a model that does not exist", streamOf(chatOf("nobody"))],
  ["an error that passes", streamOf(chatOf("rate-limited"))],
  ["a fault of ours", streamOf(chatOf("fault"))],
  ["an answer that breaks late", streamOf(chatOf("breaks-late"))],
  ["no key", streamOf(chatOf("echo"), 0, { authorization: "" })],
  ["a wrong key and a fault", streamOf("{}", 0, { authorization: "Bearer wrong" })],
  ["a deadline of no time", streamOf(chatOf("echo"), 0, { "connect-timeout-ms": "0" })],
  ["a deadline that is none", streamOf(chatOf("echo"), 0, { "connect-timeout-ms": "x" })],
  ["a body without its length", { ...streamOf(chatOf("echo")), chunked: true }],
  ["the content type of a unary call", { path: STREAM_CHAT, body: chatOf("echo") }],
  ["a stream where none belongs", { ...streamOf(chatOf("echo")), path: CREATE_CHAT }],
  ["another method", { ...streamOf(chatOf("echo")), method: "PUT" }],
];

function withType(type: string): Asked {
  return { body: chatOf("echo"), headers: { "content-type": type } };
}

function streamOf(body: string | Buffer, flag = 0, headers: Record<string, string> = {}): Asked {
  const asked = joinFrames(frameText(flag, body));
  return { ...asked, headers: { ...asked.headers, ...headers } };
}

function joinFrames(...frames: Buffer[]): Asked {
  const headers = { "content-type": "application/connect+json" };
  return { path: STREAM_CHAT, headers, body: Buffer.concat(frames) };
}

function encode<Desc extends DescMessage>(
  schema: Desc,
  message: MessageShape<Desc>,
  binary: boolean,
): Asked {
  if (!binary) {
    try {
      return { body: toJsonString(schema, message) };
    } catch {
      // Not every message has a JSON form: a span of time may be too long for one.
    }
  }
  const headers = { "content-type": "application/proto" };
  return { headers, body: Buffer.from(toBinary(schema, message)) };
}

describe("createHotConnect()", () => {
  for (const [what, asked] of cases) {
    it(`answers as connect-node does: ${what}`, async () => {
      for (const sendOver of [send, sendHttp2]) {
        const { body } = await expectSameAnswer(asked, sendOver);
        expect(body).not.toContain("secret");
      }
    });
  }

  for (const [what, asked] of streamCases) {
    it(`streams as connect-node does: ${what}`, async () => {
      for (const sendOver of [send, sendHttp2]) {
        const { body } = await expectSameAnswer(asked, sendOver);
        expect(body).not.toContain("secret");
      }
    });
  }

  it("keeps the deadline", async () => {
    const asked = { body: chatOf("silent"), headers: { "connect-timeout-ms": "20" } };
    for (const port of [hot, reference]) {
      const { status, body } = await send(port, asked);
      expect(status).toBe(504);
      expect(JSON.parse(body)).toMatchObject({ code: "deadline_exceeded" });
    }
  });

  it("tells the details of an error that are for machines", async () => {
    const { body } = await send(hot, { body: chatOf("rate-limited") });
    const { details } = JSON.parse(body);
    expect(details[0]).toMatchObject({ type: "google.rpc.ErrorInfo" });
    expect(typeof details[0].value).toBe("string");
  });

  it("counts what it refuses as connect-node does", async () => {
    hotHouse.refusals.length = 0;
    referenceHouse.refusals.length = 0;
    for (const [, asked] of [...cases, ...streamCases]) await expectSameAnswer(asked);
    expect(hotHouse.refusals.length).toBeGreaterThan(3);
    expect(hotHouse.refusals).toEqual(referenceHouse.refusals);
  });

  it("answers any chat as connect-node does, in both forms", async () => {
    const requests = arbitraryMessage(CreateChatRequestSchema, 5);
    await fc.assert(
      fc.asyncProperty(requests, fc.boolean(), async (request, binary) => {
        if (request.chat !== undefined) request.chat.model = "length";
        await expectSameAnswer({
          path: CREATE_CHAT,
          ...encode(CreateChatRequestSchema, request, binary),
        });
      }),
      { numRuns: 60 },
    );
  });

  it("streams an answer to any chat as connect-node does, in both forms", async () => {
    const requests = arbitraryMessage(StreamChatRequestSchema, 4);
    await fc.assert(
      fc.asyncProperty(requests, fc.boolean(), async (request, binary) => {
        if (request.chat !== undefined) request.chat.model = "length";
        const { headers, body = "" } = encode(StreamChatRequestSchema, request, binary);
        const isBinary = headers !== undefined;
        const type = isBinary ? "application/connect+proto" : "application/connect+json";
        await expectSameAnswer(streamOf(body, 0, { "content-type": type }));
      }),
      { numRuns: 40 },
    );
  });

  it("carries a flood to a slow reader without piling it up", async () => {
    for (const sendOver of [send, sendHttp2]) {
      hotHouse.flooded = 0;
      let held = 0;
      const { body } = await sendOver(hot, streamOf(chatOf("flood")), async () => {
        held = await stillness(() => hotHouse.flooded);
      });
      expect(held).toBeLessThan(1500);
      expect(body.length).toBeGreaterThan(2000 * 16_384);
      expect(body.slice(-2)).toBe("{}");
    }
  });

  it("refuses a body that does not say its length and is too large", async () => {
    const body = Buffer.alloc(33 * 1024 * 1024, " ");
    const answer = await send(hot, { body, chunked: true });
    expect(answer.status).toBe(429);
    expect(answer.body).toContain("33554432");
  });

  it("answers any embedding as connect-node does, in both forms", async () => {
    const requests = arbitraryMessage(EmbedRequestSchema, 4);
    await fc.assert(
      fc.asyncProperty(requests, fc.boolean(), async (request, binary) => {
        request.model = "m";
        await expectSameAnswer({ path: EMBED, ...encode(EmbedRequestSchema, request, binary) });
      }),
      { numRuns: 30 },
    );
  });

  it("tells the handler when the caller goes away", async () => {
    hotHouse.cancelled.clear();
    const before = hotHouse.calls.length;
    const request = openRequest({
      port: hot.port,
      path: CREATE_CHAT,
      method: "POST",
      agent: false,
      headers: { "content-type": "application/json", authorization: `Bearer ${TEST_KEY}` },
    });
    request.on("error", () => {});
    request.setHeader("content-length", Buffer.byteLength(chatOf("silent")));
    request.end(chatOf("silent"));
    await eventually(() => expect(hotHouse.calls.length).toBe(before + 1));
    request.destroy();
    await eventually(() => {
      expect(hotHouse.cancelled.get("silent")).toMatchObject({ reason: "CALLER_GONE" });
    });
  });
});
