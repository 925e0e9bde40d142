import { create } from "@bufbuild/protobuf";
import { KeySchema, Role } from "../../gen/weir/admin/v1/team_pb.ts";
import { CacheState, type Decision, type Finish, FinishReason } from "../../gen/weir/v1/chat_pb.ts";
import { EmbedResponseSchema } from "../../gen/weir/v1/embed_service_pb.ts";
import { ModelSchema } from "../../gen/weir/v1/model_service_pb.ts";
import { PriceSchema } from "../../gen/weir/v1/usage_pb.ts";
import { anthropicChat } from "../../src/dialects/anthropic/index.ts";
import { openaiChat, openaiCompletions, openaiEmbed } from "../../src/dialects/openai/index.ts";
import type { House } from "../../src/ingress/house.ts";
import type { ChatEvent } from "../../src/mesh/chunk.ts";
import { systemClock } from "../../src/mesh/clock.ts";
import { MeshError } from "../../src/mesh/errors.ts";
import type { Principal } from "../../src/mesh/grant.ts";
import type { EmbedOutcome, Outcome } from "../../src/mesh/outcome.ts";
import type { ChatHandler } from "../../src/mesh/rooms.ts";
import { createUsage } from "../../src/mesh/usage.ts";

export const KEY = "wk_0123456789abcdef0123456789abcdef";

/** A house without an upstream: the doors are real, what they lead to is what a test says. */
export function createPretendHouse(changes: Partial<House> = {}): House {
  return {
    clock: systemClock,
    chat: echo,
    embed: async () => embedOutcome,
    countTokens: async () => ({ inputTokens: 7, estimated: false }),
    identify,
    listModels: () => [model],
    findModel: (_principal, name) => (name === model.name ? model : undefined),
    keyLimits: async () => [],
    readiness: () => ({ ready: true, faults: [] }),
    refused: () => {},
    revision: () => 3,
    openai: openaiChat,
    openaiEmbed,
    anthropic: anthropicChat,
    completions: openaiCompletions,
    ...changes,
  };
}

export const decision: Decision = {
  $typeName: "weir.v1.Decision",
  requestId: "req_1",
  model: "sim/echo",
  provider: "sim",
  upstreamModel: "echo",
  attempts: 2,
  cache: CacheState.MISS,
  policyRevision: 4n,
  upstreamId: "up_1",
  warnings: [],
  clampedBy: "",
  downgradedBy: "",
  unprovenBy: [],
};

const finish: Finish = {
  $typeName: "weir.v1.Finish",
  reason: FinishReason.STOP,
  raw: "stop",
  stopSequence: "",
};

export const outcome: Outcome = {
  decision,
  finish,
  usage: createUsage({ inputTokens: 3, outputTokens: 2 }),
  cost: {
    $typeName: "weir.v1.Cost",
    costNanoUsd: 150_000n,
    inputNanoUsd: 100_000n,
    outputNanoUsd: 50_000n,
    known: true,
  },
  firstTokenMs: 1,
  latencyMs: 2,
};

export function textEvent(text: string): ChatEvent {
  return {
    case: "textDelta",
    value: { $typeName: "weir.v1.TextDelta", choiceIndex: 0, text },
  };
}

/** Says "Hello, weir" in two events. */
export const echo: ChatHandler = async (call, _ask, sink) => {
  call.trail.decision = decision;
  sink.start(decision);
  sink.chunk({
    wire: undefined,
    content: true,
    answer: undefined,
    events: () => [textEvent("Hello, ")],
  });
  sink.chunk({
    wire: undefined,
    content: true,
    answer: undefined,
    events: () => [textEvent("weir")],
  });
  return outcome;
};

const principal: Principal = {
  key: create(KeySchema, { name: "keys/k" }),
  teams: [],
  user: "",
  adminRole: Role.UNSPECIFIED,
};

function identify(credential: string | undefined): Principal {
  if (credential === undefined) {
    throw new MeshError("CREDENTIAL_MISSING", "Send a key as Authorization: Bearer wk_….");
  }
  if (credential !== KEY) throw new MeshError("CREDENTIAL_UNKNOWN", "This key is unknown.");
  return principal;
}

const model = create(ModelSchema, {
  name: "sim/echo",
  createTime: { seconds: 1_700_000_000n },
  contextTokensMax: 8192,
  capabilities: ["chat", "tools"],
  price: create(PriceSchema, {
    inputNanoUsdPerMillion: 150_000_000n,
    outputNanoUsdPerMillion: 600_000_000n,
  }),
});

const embedOutcome: EmbedOutcome = {
  decision,
  usage: outcome.usage,
  cost: outcome.cost,
  wire: undefined,
  response: () => create(EmbedResponseSchema, { embeddings: [{ index: 0, values: [0.5, -1] }] }),
};
