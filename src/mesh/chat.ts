import { RequestRecord_Kind } from "../../gen/weir/admin/v1/record_pb.ts";
import type { ChatAsk, EmbedAsk } from "./ask.ts";
import type { Call } from "./call.ts";
import type { Clock } from "./clock.ts";
import { asMeshError, type MeshError } from "./errors.ts";
import type { Grant, Principal } from "./grant.ts";
import { createRecord } from "./record.ts";
import type { ChatHandler, CountHandler, EmbedHandler, KeyWatch, Rooms } from "./rooms.ts";

/**
 * The journey of a chat: one straight function, so that the compiler checks the order of the steps.
 * Success, failure and cancel all pass the `finally`, so each request leaves exactly one record.
 */
export function createChatHandler(rooms: Rooms, clock: Clock): ChatHandler {
  return async (call, ask, sink) => {
    const journey = beginJourney();
    try {
      journey.principal = rooms.identify(call.credential);
      journey.watch = rooms.watchKey?.(journey.principal, call);
      journey.grant = rooms.grant(journey.principal, ask, call);
      return await rooms.attemptChat(journey.grant, ask, call, sink);
    } catch (thrown) {
      journey.error = asMeshError(thrown);
      throw journey.error;
    } finally {
      journey.watch?.end();
      const safe = leaveRecord(rooms, clock, RequestRecord_Kind.CHAT, call, ask, journey);
      if (safe !== undefined) await safe;
    }
  };
}

/** The journey of an embedding: the same rooms, in the same order. */
export function createEmbedHandler(rooms: Rooms, clock: Clock): EmbedHandler {
  return async (call, ask) => {
    const journey = beginJourney();
    try {
      journey.principal = rooms.identify(call.credential);
      journey.watch = rooms.watchKey?.(journey.principal, call);
      journey.grant = rooms.grant(journey.principal, ask, call);
      return await rooms.attemptEmbed(journey.grant, ask, call);
    } catch (thrown) {
      journey.error = asMeshError(thrown);
      throw journey.error;
    } finally {
      journey.watch?.end();
      const safe = leaveRecord(rooms, clock, RequestRecord_Kind.EMBED, call, ask, journey);
      if (safe !== undefined) await safe;
    }
  };
}

/** The journey of a count: it costs nothing and answers nothing, so it leaves no record. */
export function createCountHandler(rooms: Rooms): CountHandler {
  return async (call, ask) => {
    const principal = rooms.identify(call.credential);
    return await rooms.countTokens(rooms.grant(principal, ask, call), ask, call);
  };
}

/** What a journey has come to; the rest stands in the call's trail. */
interface Journey {
  principal: Principal | undefined;
  watch: KeyWatch | undefined;
  grant: Grant | undefined;
  error: MeshError | undefined;
}

function beginJourney(): Journey {
  return { principal: undefined, watch: undefined, grant: undefined, error: undefined };
}

/**
 * A call without a known key leaves no line in the ledger: strangers must not be able to fill it.
 * Undefined then; else it resolves when the record is safe.
 */
function leaveRecord(
  rooms: Rooms,
  clock: Clock,
  kind: RequestRecord_Kind,
  call: Call,
  ask: ChatAsk | EmbedAsk,
  journey: Journey,
): Promise<void> | undefined {
  if (journey.principal === undefined) return undefined;
  const revision = journey.grant?.revision ?? 0;
  const { principal, error } = journey;
  return rooms.note(createRecord({ kind, call, ask, principal, revision, error, clock }));
}
