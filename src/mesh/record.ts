import type { Timestamp } from "@bufbuild/protobuf/wkt";
import type { RequestRecord, RequestRecord_Kind } from "../../gen/weir/admin/v1/record_pb.ts";
import { FinishReason } from "../../gen/weir/v1/chat_pb.ts";
import type { ChatAsk, EmbedAsk } from "./ask.ts";
import type { Call, Trail } from "./call.ts";
import type { Clock } from "./clock.ts";
import type { MeshError } from "./errors.ts";
import type { Principal } from "./grant.ts";

/** What a record is made of. */
export interface RecordFacts {
  readonly kind: RequestRecord_Kind;
  readonly call: Call;
  readonly ask: ChatAsk | EmbedAsk;
  readonly principal: Principal;
  readonly revision: number;
  readonly error: MeshError | undefined;
  readonly clock: Clock;
}

/** The one record of a call: the line of the ledger. `proxyId` is filled in by the journal. */
export function createRecord(facts: RecordFacts): RequestRecord {
  const { call, ask, principal, error, clock } = facts;
  const { trail } = call;
  const key = principal.key;
  const record: RequestRecord = {
    $typeName: "weir.admin.v1.RequestRecord",
    requestId: call.requestId,
    startTime: createTimestamp(call.startedWallMs),
    latencyUs: microseconds(clock.now() - call.startedMs),
    kind: facts.kind,
    door: call.door,
    stream: "stream" in ask && ask.stream,
    team: principal.teams[0]?.name ?? "",
    key: key.name,
    user: principal.user,
    modelAsked: clip(ask.model, NAME_CHARACTERS_MAX),
    // Where nobody answered, what was charged still belongs to whom charged it.
    model: trail.decision?.model ?? trail.charged?.model ?? "",
    provider: nameProvider(trail),
    upstreamModel: trail.decision?.upstreamModel ?? trail.charged?.upstreamModel ?? "",
    attempts: trail.attempts,
    costNanoUsd: trail.cost?.costNanoUsd ?? 0n,
    costKnown: trail.cost?.known ?? true,
    finishReason: finishWord(trail.finish?.reason),
    rawFinishReason: clip(trail.finish?.raw ?? "", NAME_CHARACTERS_MAX),
    errorReason: error?.reason ?? "",
    errorMessage: clip(error?.message ?? "", TEXT_CHARACTERS_MAX),
    cache: "",
    labels: mergeLabels(ask.labels, key.labels),
    policyRevision: BigInt(facts.revision),
    proxyId: "",
    overheadUs: microseconds((trail.upstreamStartedMs ?? clock.now()) - call.startedMs),
    excluded: trail.excluded,
    auditDeniedBy: trail.auditDeniedBy,
    sessionId: "sessionId" in ask ? clip(ask.sessionId, NAME_CHARACTERS_MAX) : "",
    endUser: clip(ask.endUser, NAME_CHARACTERS_MAX),
    clampedBy: trail.clampedBy,
    downgradedBy: trail.downgradedBy,
    unprovenBy: trail.unprovenBy,
  };
  if (trail.usage !== undefined) record.usage = trail.usage;
  if (trail.firstContentMs !== undefined) {
    record.timeToFirstTokenUs = microseconds(trail.firstContentMs - call.startedMs);
  }
  return record;
}

/**
 * Callers and vendors write some of a record's texts: the ledger, which keeps them for years, must
 * not grow by megabytes a request. Longer ones are cut.
 */
const NAME_CHARACTERS_MAX = 512;
const TEXT_CHARACTERS_MAX = 4096;

function clip(text: string, charactersMax: number): string {
  return text.length > charactersMax ? `${text.slice(0, charactersMax)}…` : text;
}

function nameProvider({ decision, charged }: Trail): string {
  if (decision !== undefined) return `providers/${decision.provider}`;
  return charged?.provider.name ?? "";
}

/** A point in time as the wire has it. */
export function createTimestamp(wallMs: number): Timestamp {
  const seconds = Math.floor(wallMs / 1000);
  return {
    $typeName: "google.protobuf.Timestamp",
    seconds: BigInt(seconds),
    nanos: Math.round((wallMs - seconds * 1000) * 1e6),
  };
}

const finishWords = new Map<FinishReason, string>([
  [FinishReason.STOP, "stop"],
  [FinishReason.LENGTH, "length"],
  [FinishReason.TOOL_CALLS, "tool_calls"],
  [FinishReason.CONTENT_FILTER, "content_filter"],
  [FinishReason.PAUSE, "pause"],
  [FinishReason.ERROR, "error"],
  [FinishReason.OTHER, "other"],
]);

function finishWord(reason: FinishReason | undefined): string {
  return (reason !== undefined && finishWords.get(reason)) || "";
}

function microseconds(ms: number): bigint {
  return BigInt(Math.max(0, Math.round(ms * 1000)));
}

/** A key's own labels win: a caller must not be able to book onto another. */
function mergeLabels(
  asked: Readonly<Record<string, string>>,
  keys: Record<string, string>,
): Record<string, string> {
  return { ...asked, ...keys };
}
