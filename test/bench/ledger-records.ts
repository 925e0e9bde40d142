import type { RequestRecord } from "../../gen/weir/admin/v1/record_pb.ts";
import { encodeRecord } from "../../src/link/encode-record.ts";
import { WireWriter } from "../../src/link/wire-writer.ts";
import { createTimedId } from "../../src/mesh/random.ts";
import { createTimestamp } from "../../src/mesh/record.ts";
import { createUsage } from "../../src/mesh/usage.ts";

/** Makes encoded records, as the proxies of a company with so many keys write them. */
export class LedgerRecords {
  readonly #writer = new WireWriter(4096);
  readonly #keys: number;
  #made = 0;

  constructor(keys: number) {
    this.#keys = keys;
  }

  next(proxyId: string): Buffer {
    this.#made += 1;
    this.#writer.reset(4096);
    encodeRecord(this.#writer, createLoadRecord(this.#made, proxyId, this.#keys));
    return Buffer.from(this.#writer.bytes);
  }
}

/** One in ten has a label, one in fifty fails; a team has ten keys. */
function createLoadRecord(n: number, proxyId: string, keys: number): RequestRecord {
  const key = Math.imul(n, 2_654_435_761) % keys;
  const keyNumber = Math.abs(key);
  const team = `teams/team-${Math.floor(keyNumber / 10)}`;
  const model = models[keyNumber % models.length] ?? "";
  const failed = n % 50 === 0;
  const tokens = 200 + (n % 1000);
  const base = { modelAsked: model, model, provider: "providers/bench", upstreamModel: "bench-1" };
  return {
    $typeName: "weir.admin.v1.RequestRecord",
    ...base,
    requestId: createTimedId("req_", Date.now()),
    startTime: createTimestamp(Date.now()),
    latencyUs: BigInt(800_000 + (n % 1000) * 100),
    timeToFirstTokenUs: BigInt(200_000 + (n % 1000)),
    kind: 1,
    door: n % 2 === 0 ? "openai" : "grpc",
    stream: n % 3 !== 0,
    team,
    key: `${team}/keys/key-${keyNumber}`,
    user: "",
    attempts: [
      {
        $typeName: "weir.admin.v1.AttemptRecord",
        provider: base.provider,
        upstreamModel: base.upstreamModel,
        httpStatus: failed ? 500 : 200,
        errorReason: failed ? "UPSTREAM_ERROR" : "",
        detail: "",
        startUs: 180n,
        latencyUs: 799_000n,
        committed: !failed,
        upstreamRequestId: "req_0123456789abcdef0123456789abcdef",
      },
    ],
    usage: createUsage({ inputTokens: tokens, cacheReadTokens: 64, outputTokens: 120 }),
    costNanoUsd: BigInt(tokens * 150 + 120 * 600),
    costKnown: true,
    finishReason: failed ? "" : "stop",
    rawFinishReason: failed ? "" : "stop",
    errorReason: failed ? "UPSTREAM_ERROR" : "",
    errorMessage: failed ? "The provider failed. Try again." : "",
    cache: "",
    labels: n % 10 === 0 ? { app: `app-${n % 7}` } : {},
    policyRevision: 12n,
    proxyId,
    overheadUs: 170n,
    excluded: [],
    auditDeniedBy: [],
    sessionId: "",
    endUser: "",
    clampedBy: "",
    downgradedBy: "",
    unprovenBy: [],
  };
}

const models = ["fast", "smart", "bench/plain"];
