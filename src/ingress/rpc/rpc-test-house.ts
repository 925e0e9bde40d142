import { create } from "@bufbuild/protobuf";
import { KeySchema, Role } from "../../../gen/weir/admin/v1/team_pb.ts";
import { type Decision, DecisionSchema, FinishReason } from "../../../gen/weir/v1/chat_pb.ts";
import { CreateChatResponseSchema } from "../../../gen/weir/v1/chat_service_pb.ts";
import { EmbedResponseSchema } from "../../../gen/weir/v1/embed_service_pb.ts";
import { type Model, ModelSchema } from "../../../gen/weir/v1/model_service_pb.ts";
import { CostSchema } from "../../../gen/weir/v1/usage_pb.ts";
import type { ChatAsk } from "../../mesh/ask.ts";
import type { Call } from "../../mesh/call.ts";
import { type ChatEvent, createEventChunk } from "../../mesh/chunk.ts";
import { type Clock, systemClock } from "../../mesh/clock.ts";
import { MeshError } from "../../mesh/errors.ts";
import type { Outcome } from "../../mesh/outcome.ts";
import type { ChatSink } from "../../mesh/sink.ts";
import { createUsage } from "../../mesh/usage.ts";
import type { RpcHouse } from "./rpc-house.ts";

/** The one key that the house of the tests knows. */
export const TEST_KEY = "wk_test";

/** A house for tests: what it answers is decided by the model's name. */
export class TestHouse implements RpcHouse {
  readonly clock: Clock;
  readonly calls: Call[] = [];
  readonly asks: ChatAsk[] = [];
  readonly refusals: string[] = [];
  /** Causes with which calls were cancelled, by model. */
  readonly cancelled = new Map<string, Error>();
  readonly models: Model[] = [];
  ready = true;
  draining = false;
  /** Chunks that the model `flood` has pushed. */
  flooded = 0;

  constructor(clock: Clock = systemClock) {
    this.clock = clock;
  }

  readonly chat: RpcHouse["chat"] = async (call, ask, sink) => {
    this.identify(call.credential);
    this.calls.push(call);
    this.asks.push(ask);
    call.cancellation.onCancel((cause) => this.cancelled.set(ask.model, cause));
    const play = plays[ask.model];
    if (play === undefined) throw new MeshError("MODEL_NOT_FOUND", `No model ${ask.model}.`);
    await play({ house: this, call, ask, sink });
    return createOutcome(call);
  };

  readonly embed: RpcHouse["embed"] = async (call, ask) => {
    this.identify(call.credential);
    this.calls.push(call);
    const embeddings = ask.request().inputs.map((_, index) => ({ index, values: [0.5, index] }));
    const { decision, usage, cost } = createOutcome(call);
    const response = create(EmbedResponseSchema, { decision, embeddings, usage, cost });
    return { decision, usage, cost, wire: undefined, response: () => response };
  };

  identify(credential: string | undefined) {
    if (credential === undefined) throw new MeshError("CREDENTIAL_MISSING", "Show a key.");
    if (credential !== TEST_KEY) throw new MeshError("CREDENTIAL_UNKNOWN", "No such key.");
    return { key: create(KeySchema), teams: [], user: "", adminRole: Role.UNSPECIFIED };
  }

  listModels(): readonly Model[] {
    return this.models;
  }

  findModel(_principal: unknown, name: string): Model | undefined {
    return this.models.find((model) => model.name === name);
  }

  addModels(...names: string[]): void {
    for (const name of names) this.models.push(create(ModelSchema, { name }));
  }

  readiness() {
    return { ready: this.ready, draining: this.draining, faults: [] };
  }

  refused(reason: string): void {
    this.refusals.push(reason);
  }
}

/** Text as events, one for each word. */
export function createTextEvents(...words: string[]): ChatEvent[] {
  return words.map((text) => ({
    case: "textDelta",
    value: { $typeName: "weir.v1.TextDelta", choiceIndex: 0, text },
  }));
}

interface Scene {
  readonly house: TestHouse;
  readonly call: Call;
  readonly ask: ChatAsk;
  readonly sink: ChatSink;
}

const plays: Record<string, (scene: Scene) => Promise<void>> = {
  /**
   * Answers with the last user text, word by word, in one chunk; a whole answer when it is not
   * streamed.
   */
  echo: async ({ call, ask, sink }) => {
    const part = ask.chat().messages.at(-1)?.parts.at(0)?.part;
    const text = part?.case === "text" ? part.value.text : "";
    sink.start(createDecision(call));
    if (ask.stream) {
      sink.chunk(createEventChunk(createTextEvents(...text.split(/(?<= )/)), true));
      return;
    }
    const message = { parts: [{ part: { case: "text" as const, value: { text } } }] };
    const answer = create(CreateChatResponseSchema, { choices: [{ message }] });
    sink.chunk({ wire: undefined, content: true, events: () => [], answer: () => answer });
  },
  /** Says how many bytes it was sent. */
  length: async ({ call, ask, sink }) => {
    sink.start(createDecision(call));
    sink.chunk(createEventChunk(createTextEvents(String(ask.bytes)), true));
  },
  "rate-limited": async () => {
    throw new MeshError("RATE_LIMITED", "Wait – 100 % of the requests of this minute are used.", {
      retryAfterMs: 1500,
      metadata: { scope: "teams/a", limit: "3" },
      internal: "never to be seen",
    });
  },
  fault: async () => {
    throw new Error("a secret of ours");
  },
  "breaks-late": async ({ call, sink }) => {
    sink.start(createDecision(call));
    sink.chunk(createEventChunk(createTextEvents("half "), true));
    throw new MeshError("UPSTREAM_FAILED", "The upstream broke off.");
  },
  /** Says one word and then nothing until its call is cancelled. */
  silent: async ({ call, sink }) => {
    sink.start(createDecision(call));
    sink.chunk(createEventChunk(createTextEvents("one"), true));
    await new Promise<never>((_, reject) => call.cancellation.onCancel(reject));
  },
  /** Pushes 2,000 chunks of 16 KiB, as far as the sink lets it. */
  flood: async ({ house, call, sink }) => {
    sink.start(createDecision(call));
    const chunk = createEventChunk(createTextEvents("x".repeat(16_384)), true);
    for (; house.flooded < 2000; house.flooded++) {
      if (!sink.chunk(chunk)) await sink.ready();
    }
  },
};

function createDecision(call: Call): Decision {
  const decision = create(DecisionSchema, {
    requestId: call.requestId,
    model: "echo",
    provider: "sim",
    upstreamModel: "echo-1",
    attempts: 1,
    policyRevision: 7n,
  });
  call.trail.decision = decision;
  return decision;
}

function createOutcome(call: Call): Outcome {
  return {
    decision: createDecision(call),
    finish: {
      $typeName: "weir.v1.Finish",
      reason: FinishReason.STOP,
      raw: "stop",
      stopSequence: "",
    },
    usage: createUsage({ inputTokens: 3, outputTokens: 2 }),
    cost: create(CostSchema, { costNanoUsd: 1500n, known: true }),
    firstTokenMs: 12.5,
    latencyMs: 2001,
  };
}

/** A message in gRPC framing, for requests that no client would send. */
export function frame(flag: number, message: Uint8Array): Buffer {
  const prefix = Buffer.alloc(5);
  prefix[0] = flag;
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}
