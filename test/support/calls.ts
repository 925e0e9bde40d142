import { create } from "@bufbuild/protobuf";
import {
  type Key,
  KeySchema,
  KeySecretSchema,
  type Team,
  TeamSchema,
} from "../../gen/weir/admin/v1/team_pb.ts";
import { type Chat, ChatSchema, Role } from "../../gen/weir/v1/chat_pb.ts";
import { createChatAsk } from "../../src/dialects/typed-ask.ts";
import type { ChatAsk } from "../../src/mesh/ask.ts";
import { type Call, createTrail } from "../../src/mesh/call.ts";
import { Cancellation } from "../../src/mesh/cancellation.ts";
import type { ChatChunk } from "../../src/mesh/chunk.ts";
import { createEventChunk } from "../../src/mesh/chunk.ts";
import type { Clock } from "../../src/mesh/clock.ts";
import type { Grant, Leg, Principal } from "../../src/mesh/grant.ts";

/** A call that has just arrived, for tests. */
export function createTestCall(clock: Clock, fields: Partial<Call> = {}): Call {
  return {
    requestId: "req_test",
    door: "grpc",
    credential: "wk_test",
    startedMs: clock.now(),
    startedWallMs: clock.wallMs(),
    deadlineMs: undefined,
    cancellation: new Cancellation(),
    trail: createTrail(),
    ...fields,
  };
}

/** A question of one user message. */
export function createTestAsk(text = "hello", fields: Partial<Chat> = {}): ChatAsk {
  const chat = create(ChatSchema, {
    model: "test/model",
    messages: [{ role: Role.USER, parts: [{ part: { case: "text", value: { text } } }] }],
  });
  return createChatAsk(Object.assign(chat, fields), true, text.length);
}

/** A team by its name, below the root unless said otherwise. */
export function createTestTeam(name: string, fields: Partial<Omit<Team, "$typeName">> = {}): Team {
  return create(TeamSchema, { name, ...fields });
}

/** A key, and its team with the root above it. */
export function createTestPrincipal(fields: Partial<Omit<Key, "$typeName">> = {}): Principal {
  const key = create(KeySchema, {
    name: "teams/a/keys/k",
    secrets: [create(KeySecretSchema, { prefix: "wk_test" })],
    ...fields,
  });
  const teams = [createTestTeam("teams/a"), createTestTeam("teams/root")];
  return { key, teams, user: key.user, adminRole: key.adminRole };
}

export function createTestGrant(legs: readonly Leg[]): Grant {
  return { principal: createTestPrincipal(), revision: 1, legs };
}

/** A chunk of text. */
export function createTextChunk(text: string): ChatChunk {
  return createEventChunk(
    [
      {
        case: "textDelta",
        value: { $typeName: "weir.v1.TextDelta", choiceIndex: 0, text },
      },
    ],
    text !== "",
  );
}
