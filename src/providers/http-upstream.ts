import type { Agent } from "undici";
import type { Usage } from "../../gen/weir/v1/usage_pb.ts";
import type { ChatDialect, EmbedDialect, UpstreamRequest } from "../dialects/dialect.ts";
import type { EmbedAsk } from "../mesh/ask.ts";
import type { Clock } from "../mesh/clock.ts";
import { MeshError } from "../mesh/errors.ts";
import type { Target } from "../mesh/target.ts";
import type { Attempt, Upstream, UpstreamVectors } from "../mesh/upstream.ts";
import { createUsage } from "../mesh/usage.ts";
import { ChatReading } from "./chat-reading.ts";
import { type AnswerReading, Exchange } from "./exchange.ts";
import { RequestAddresser } from "./outgoing-request.ts";
import { undici } from "./undici-parts.ts";

const BYTES_A_TOKEN = 4;
const CONNECT_TIMEOUT_MS = 10_000;
const KEEP_ALIVE_MS = 90_000;
const KEEP_ALIVE_MAX_MS = 600_000;

/** What the way over HTTP needs. */
export interface HttpUpstreamOptions {
  readonly clock: Clock;
  readonly dialects: {
    readonly openai: { readonly chat: ChatDialect; readonly embed: EmbedDialect };
    readonly anthropic: { readonly chat: ChatDialect };
  };
  /** Time to reach an upstream. Default 10,000 ms. */
  readonly connectTimeoutMs?: number;
  /** Connections to one origin; what goes beyond waits. Default: as many as there are calls. */
  readonly connectionsMax?: number;
}

/** Upstreams over HTTP/1.1, with the pool's numbers. */
export interface HttpUpstream extends Upstream {
  /** The connections to each origin now, for metrics. */
  connections(): readonly OriginConnections[];
  /** Waits for calls under way, then closes all connections. */
  close(): Promise<void>;
  /** Closes all connections at once; calls under way fail. */
  destroy(): Promise<void>;
}

/** How many connections to an origin there are, and how many calls wait for one. */
export interface OriginConnections {
  readonly origin: string;
  readonly connected: number;
  readonly running: number;
  readonly waiting: number;
}

/**
 * Reaches vendors and engines over HTTP/1.1. Every fault of theirs, and only of theirs, becomes an
 * UPSTREAM_* error of the one call that met it. It waits for ever: the clocks of an attempt are
 * those of whoever calls, through its cancellation.
 */
export function createHttpUpstream(options: HttpUpstreamOptions): HttpUpstream {
  const agent = createAgent(options);
  const { clock, dialects } = options;
  const addresser = new RequestAddresser();
  const send = <T>(call: OutgoingCall<T>): void => exchange(agent, clock, addresser, call);
  return {
    // Not async, so that the promise of the exchange is the only one on the way of a chat.
    chat: (target, ask, sink, attempt) =>
      new Promise((resolve, reject) => {
        const { vendor } = selectChat(dialects, target);
        const { warnings, outputTokensMax } = attempt;
        const request = vendor.writeRequest(ask, target, warnings, outputTokensMax);
        const reading = new ChatReading(vendor, ask, sink);
        send({ target, request, attempt, reading, resolve, reject });
      }),
    embed: (target, ask, attempt) =>
      new Promise((resolve, reject) => {
        const dialect = selectEmbed(dialects, target);
        const request = dialect.vendor.writeRequest(ask, target, attempt.warnings);
        send({ target, request, attempt, reading: readVectors(dialect, ask), resolve, reject });
      }),
    countTokens: async (target, ask, attempt) => {
      const { vendor } = selectChat(dialects, target);
      const { counting } = vendor;
      if (counting === undefined) return undefined;
      const request = counting.writeRequest(ask, target, attempt.warnings);
      const read = (body: Buffer): number => counting.readAnswer(body);
      const reading = readOnce(read, (...fault) => vendor.readError(...fault));
      return new Promise<number>((resolve, reject) => {
        send({ target, request, attempt, reading, resolve, reject });
      });
    },
    connections: () =>
      Object.entries(agent.stats).map(([origin, stats]) => ({
        origin,
        connected: stats.connected === true ? 1 : Number(stats.connected),
        running: stats.running,
        waiting: "queued" in stats ? stats.queued + stats.pending : stats.pending,
      })),
    close: () => agent.close(),
    destroy: () => agent.destroy(),
  };
}

interface OutgoingCall<T> {
  readonly target: Target;
  readonly request: UpstreamRequest;
  readonly attempt: Attempt;
  readonly reading: AnswerReading<T>;
  readonly resolve: (value: T) => void;
  readonly reject: (error: Error) => void;
}

function createAgent(options: HttpUpstreamOptions): Agent {
  const { connectionsMax } = options;
  return new undici.Agent({
    ...(connectionsMax === undefined ? undefined : { connections: connectionsMax }),
    connectTimeout: options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    keepAliveMaxTimeout: KEEP_ALIVE_MAX_MS,
    headersTimeout: 0,
    bodyTimeout: 0,
    pipelining: 1,
    allowH2: false,
    autoSelectFamily: true,
  });
}

/** Throws when the request cannot even be addressed. */
function exchange<T>(
  agent: Agent,
  clock: Clock,
  addresser: RequestAddresser,
  { target, request, attempt, reading, resolve, reject }: OutgoingCall<T>,
): void {
  attempt.cancellation.throwIfCancelled();
  const { origin, path, headers } = addresser.address(target, request, attempt.requestId);
  const handler = new Exchange({ clock, attempt, reading, origin, resolve, reject });
  agent.dispatch({ origin, path, method: "POST", headers, body: request.body }, handler);
}

function readVectors(dialect: EmbedDialect, ask: EmbedAsk): AnswerReading<UpstreamVectors> {
  const { name, vendor } = dialect;
  const read = (body: Buffer): UpstreamVectors => {
    const vectors = vendor.readAnswer(body, ask);
    const { usage, wire } = vectors;
    return {
      usage,
      wire: wire === undefined ? undefined : { dialect: name, bytes: wire },
      response: () => vectors.response(),
    };
  };
  return {
    ...readOnce(read, (...fault) => vendor.readError(...fault)),
    partialUsage: () => estimatePrompt(ask),
  };
}

/** What of an embedding is billed when nobody counted. */
function estimatePrompt(ask: EmbedAsk): Usage {
  return createUsage({ inputTokens: Math.ceil(ask.bytes / BYTES_A_TOKEN), estimated: true });
}

/** How to read answers that only ever come whole. */
function readOnce<T>(
  readWhole: (body: Buffer) => T,
  readError: AnswerReading<T>["readError"],
): AnswerReading<T> {
  return {
    readWhole,
    readError,
    openStream: () => undefined,
    partialUsage: () => undefined,
    counted: () => true,
  };
}

function selectChat(dialects: HttpUpstreamOptions["dialects"], target: Target): ChatDialect {
  switch (target.provider.dialect) {
    case "openai":
      return dialects.openai.chat;
    case "anthropic":
      return dialects.anthropic.chat;
    case "sim":
      throw new Error("the simulated engine is not reached over HTTP");
  }
}

function selectEmbed(dialects: HttpUpstreamOptions["dialects"], target: Target): EmbedDialect {
  if (target.provider.dialect === "openai") return dialects.openai.embed;
  const message = "The upstream of this model has no embeddings.";
  throw new MeshError("UPSTREAM_REFUSED", message, {
    internal: `${target.provider.name}: the dialect ${target.provider.dialect} has no embeddings`,
  });
}
