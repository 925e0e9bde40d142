/**
 * `node test/bench/micro.ts [NAME…]`: what single steps of the hot path cost, in this process and without any socket, in
 * nanoseconds; medians of several runs after a warm-up. For finding out what is worth mending: only `npm run bench` says
 * what a request costs.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  type RequestRecord,
  RequestRecord_Kind,
  RequestRecordSchema,
} from "../../gen/weir/admin/v1/record_pb.ts";
import { FinishReason, Role } from "../../gen/weir/v1/chat_pb.ts";
import {
  CreateChatRequestSchema,
  CreateChatResponseSchema,
  StreamChatResponseSchema,
} from "../../gen/weir/v1/chat_service_pb.ts";
import { createIdentify } from "../../src/auth/identify.ts";
import { anthropicChat } from "../../src/dialects/anthropic/index.ts";
import type { StreamReader } from "../../src/dialects/dialect.ts";
import { openaiChat } from "../../src/dialects/openai/index.ts";
import { createChatAsk } from "../../src/dialects/typed-ask.ts";
import { decodeChat } from "../../src/ingress/rpc/hot/decode-chat.ts";
import { frameChatAnswer } from "../../src/ingress/rpc/hot/frame-answer.ts";
import { frameEvents } from "../../src/ingress/rpc/hot/frame-events.ts";
import { validateChat } from "../../src/ingress/rpc/validate-chat.ts";
import { appendFrame } from "../../src/link/frame.ts";
import { openJournal } from "../../src/link/journal.ts";
import { WireWriter } from "../../src/link/wire-writer.ts";
import type { ChatAsk } from "../../src/mesh/ask.ts";
import type { ChatEvent } from "../../src/mesh/chunk.ts";
import { systemClock } from "../../src/mesh/clock.ts";
import type { JsonObject } from "../../src/mesh/json.ts";
import { createRecord } from "../../src/mesh/record.ts";
import { createPolicyRoom } from "../../src/policy/policy-room.ts";
import { createTestCall } from "../support/calls.ts";
import { holdSnapshot } from "../support/snapshots.ts";
import { writeBody } from "./requests.ts";
import { median } from "./samples.ts";
import { createStreamPayloads, STREAM_EVENTS } from "./upstream-bytes.ts";

const RUNS = 7;
const RUN_MS = 150;
const KEY = `wk_${"micro".repeat(8)}`;

/** One step; `each` says how many units one call does. */
interface Step {
  readonly name: string;
  readonly each: number;
  run(): unknown;
}

/** Kept, so that nothing is optimised away. */
let kept: unknown;

function measure({ run, each }: Step): number {
  const times = Array.from({ length: RUNS }, () => {
    const startedMs = performance.now();
    let count = 0;
    while (performance.now() - startedMs < RUN_MS) {
      for (let at = 0; at < 20; at++) kept = run();
      count += 20;
    }
    return ((performance.now() - startedMs) * 1e6) / count / each;
  });
  // The first runs are the compiler's.
  return median(times.slice(2));
}

function listSteps(): Step[] {
  return [...listQuestionSteps(), ...listStreamSteps(), ...listAnswerSteps(), ...listRecordSteps()];
}

const plainBody = writeBody("openai", "bench/plain");
const streamBody = writeBody("openai-stream", "bench/plain");
const anthropicBody = writeBody("anthropic-stream", "bench/plain");

function parseAsk(text: string): ChatAsk {
  const body: JsonObject = JSON.parse(text);
  return openaiChat.client.readAsk(body, text.length);
}

function listQuestionSteps(): Step[] {
  const holder = holdSnapshot({
    teams: [{ name: "teams/root" }, { name: "teams/a", parent: "teams/root" }],
    providers: [{ name: "providers/p", dialect: "openai", baseUrls: ["http://127.0.0.1:1/v1"] }],
    models: [
      { name: "models/bench/plain", targets: [{ provider: "providers/p", upstreamModel: "m" }] },
    ],
    keys: [{ name: "teams/a/keys/k", secret: KEY }],
    policies: [
      {
        name: "policies/open",
        match: { teams: { include: ["teams/a"] } },
        mode: 1,
        rule: { case: "access", value: { allowModels: ["*"] } },
      },
    ],
  });
  const current = () => holder.current;
  const identify = createIdentify(current, systemClock);
  const policy = createPolicyRoom(current);
  const principal = identify(KEY);
  const ask = parseAsk(plainBody);
  const call = createTestCall(systemClock);
  const parsed: JsonObject = JSON.parse(plainBody);
  const leg = policy.grant(principal, ask, call).legs[0];
  const target = leg?.targets[0];
  const chat = ask.chat();
  const request = create(CreateChatRequestSchema, { chat });
  const message = Buffer.from(toBinary(CreateChatRequestSchema, request));
  return [
    { name: "JSON.parse of a question", each: 1, run: () => JSON.parse(plainBody) },
    {
      name: "openai readAsk",
      each: 1,
      run: () => openaiChat.client.readAsk(parsed, plainBody.length),
    },
    {
      name: "fromBinary of a question",
      each: 1,
      run: () => fromBinary(CreateChatRequestSchema, message),
    },
    {
      name: "hand decoder of a question",
      each: 1,
      run: () => decodeChat(CreateChatRequestSchema, message),
    },
    { name: "validateChat", each: 1, run: () => validateChat(chat) },
    { name: "identify", each: 1, run: () => identify(KEY) },
    { name: "grant", each: 1, run: () => policy.grant(principal, ask, call) },
    {
      name: "openai writeRequest, same dialect",
      each: 1,
      run: () => target && openaiChat.vendor.writeRequest(ask, target, []),
    },
    {
      name: "openai writeRequest, from weir",
      each: 1,
      run: () =>
        target &&
        openaiChat.vendor.writeRequest(createChatAsk(chat, false, message.length), target, []),
    },
  ];
}

function listStreamSteps(): Step[] {
  const frames = createStreamPayloads().map((payload) => Buffer.from(`data: ${payload}\n\n`));
  const burst = Buffer.concat(frames);
  const same = parseAsk(streamBody);
  const typed = createChatAsk(same.chat(), true, streamBody.length);
  const anthropicJson: JsonObject = JSON.parse(anthropicBody);
  const anthropic = anthropicChat.client.readAsk(anthropicJson, anthropicBody.length);
  const events = decodeEvents(burst, typed);
  const messages = events.map((event) => create(StreamChatResponseSchema, { event }));
  const readBurst = (ask: ChatAsk) => {
    const reader = openaiChat.vendor.createStreamReader(ask);
    const chunk = reader.read(burst);
    return ask.dialect === "openai" ? chunk : chunk?.events();
  };
  const readPaced = (ask: ChatAsk) => {
    const reader: StreamReader = openaiChat.vendor.createStreamReader(ask);
    for (const frame of frames) {
      const chunk = reader.read(frame);
      kept = ask.dialect === "openai" ? chunk : chunk?.events();
    }
    return reader.end();
  };
  return [
    { name: "pass reader, burst, an event", each: STREAM_EVENTS, run: () => readBurst(same) },
    { name: "pass reader, paced, an event", each: STREAM_EVENTS, run: () => readPaced(same) },
    {
      name: "translating reader, burst, an event",
      each: STREAM_EVENTS,
      run: () => readBurst(typed),
    },
    {
      name: "translating reader, paced, an event",
      each: STREAM_EVENTS,
      run: () => readPaced(typed),
    },
    { name: "hand encoder, an event", each: events.length, run: () => frameEvents(events) },
    {
      name: "protobuf-es toBinary, an event",
      each: events.length,
      run: () => messages.map((each) => toBinary(StreamChatResponseSchema, each)),
    },
    {
      name: "anthropic stream writer, an event",
      each: events.length,
      // As bytes: a string that is put together is not written before somebody looks at it.
      run: () => Buffer.from(anthropicChat.client.createStreamWriter(anthropic).events(events)),
    },
  ];
}

function listAnswerSteps(): Step[] {
  const usage = { inputTokens: 412, outputTokens: 61 };
  const choices = [
    {
      message: {
        role: Role.ASSISTANT,
        parts: [{ part: { case: "text" as const, value: { text: "Lisbon. ".repeat(40) } } }],
      },
      finish: { reason: FinishReason.STOP, raw: "stop" },
    },
  ];
  const cost = { costNanoUsd: 12_345n, inputNanoUsd: 345n, outputNanoUsd: 12_000n, known: true };
  const decision = { model: "bench/plain", provider: "p", attempts: 1, policyRevision: 7n };
  const answer = create(CreateChatResponseSchema, { choices, usage, cost, decision });
  return [
    { name: "hand encoder of an answer", each: 1, run: () => frameChatAnswer(answer) },
    {
      name: "protobuf-es toBinary of an answer",
      each: 1,
      run: () => toBinary(CreateChatResponseSchema, answer),
    },
  ];
}

function decodeEvents(burst: Buffer, ask: ChatAsk): readonly ChatEvent[] {
  return openaiChat.vendor.createStreamReader(ask).read(burst)?.events() ?? [];
}

function makeRecord(ask: ChatAsk, identify: ReturnType<typeof createIdentify>): RequestRecord {
  const call = createTestCall(systemClock);
  const principal = identify(KEY);
  const kind = RequestRecord_Kind.CHAT;
  const error = undefined;
  return createRecord({ kind, call, ask, principal, revision: 1, error, clock: systemClock });
}

function listRecordSteps(): Step[] {
  const holder = holdSnapshot({
    teams: [{ name: "teams/root" }, { name: "teams/a", parent: "teams/root" }],
    keys: [{ name: "teams/a/keys/k", secret: KEY }],
  });
  const identify = createIdentify(() => holder.current, systemClock);
  const ask = parseAsk(plainBody);
  const record = makeRecord(ask, identify);
  const writer = new WireWriter(64 * 1024);
  return [
    { name: "createRecord (with identify)", each: 1, run: () => makeRecord(ask, identify) },
    {
      name: "journal's encoder, a record",
      each: 1,
      run: () => {
        writer.reset(64 * 1024);
        appendFrame(writer, record);
        return writer.length;
      },
    },
    {
      name: "protobuf-es toBinary, a record",
      each: 1,
      run: () => toBinary(RequestRecordSchema, record),
    },
  ];
}

/** What `note` costs this thread and how long its callers wait, a hundred at a time as under load. */
async function measureNote(): Promise<{ readonly cpuNs: number; readonly waitMs: number }> {
  const directory = mkdtempSync(join(tmpdir(), "weir-micro-"));
  const holder = holdSnapshot({
    teams: [{ name: "teams/root" }, { name: "teams/a", parent: "teams/root" }],
    keys: [{ name: "teams/a/keys/k", secret: KEY }],
  });
  const identify = createIdentify(() => holder.current, systemClock);
  const record = makeRecord(parseAsk(plainBody), identify);
  const log = { info: () => {}, warn: () => {}, error: () => {} };
  const journal = await openJournal({ directory, proxyId: "micro", clock: systemClock, log });
  const GROUP = 100;
  const waits: number[] = [];
  const cpu = process.cpuUsage();
  const groups = 500;
  for (let at = 0; at < groups; at++) {
    const startedMs = performance.now();
    await Promise.all(Array.from({ length: GROUP }, () => journal.note(record)));
    waits.push(performance.now() - startedMs);
  }
  const used = process.cpuUsage(cpu);
  await journal.close();
  rmSync(directory, { recursive: true, force: true });
  return {
    cpuNs: ((used.user + used.system) * 1000) / (groups * GROUP),
    waitMs: median(waits),
  };
}

const wanted = process.argv.slice(2);
for (const step of listSteps()) {
  if (wanted.length > 0 && !wanted.some((name) => step.name.includes(name))) continue;
  const ns = measure(step);
  process.stdout.write(`${step.name.padEnd(40)} ${ns.toFixed(0).padStart(7)} ns\n`);
}
if (wanted.length === 0 || wanted.includes("note")) {
  const { cpuNs, waitMs } = await measureNote();
  process.stdout.write(`${"note, in groups of 100".padEnd(40)} ${cpuNs.toFixed(0).padStart(7)} ns`);
  process.stdout.write(`, and its callers wait ${waitMs.toFixed(2)} ms\n`);
}
if (kept === undefined) process.exitCode = 1;
