import { createIdentify } from "../auth/identify.ts";
import { createKeyWatcher } from "../auth/key-watch.ts";
import type { Catalogue } from "../catalogue/catalogue.ts";
import { anthropicChat } from "../dialects/anthropic/index.ts";
import { openaiChat, openaiCompletions, openaiEmbed } from "../dialects/openai/index.ts";
import type { House, Readiness } from "../ingress/house.ts";
import { createChatHandler, createCountHandler, createEmbedHandler } from "../mesh/chat.ts";
import type { Clock } from "../mesh/clock.ts";
import type { KeyLimit, KeyLimitState } from "../mesh/key-limit.ts";
import type { Quota } from "../mesh/quota.ts";
import type { Random } from "../mesh/random.ts";
import type { Rooms } from "../mesh/rooms.ts";
import { createSnapshotHolder, type SnapshotHolder } from "../mesh/snapshot-holder.ts";
import { createModelDirectory } from "../policy/model-directory.ts";
import { createPolicyRoom } from "../policy/policy-room.ts";
import { createHttpUpstream, type HttpUpstream } from "../providers/http-upstream.ts";
import { createUpstreams } from "../providers/upstream-by-dialect.ts";
import type { QuotaRoomProxy } from "../quota/quota.ts";
import { createAttemptChat } from "../routing/attempt-chat.ts";
import { createAttemptEmbed } from "../routing/attempt-embed.ts";
import { Breakers } from "../routing/breaker.ts";
import { createCountTokens } from "../routing/count-tokens.ts";
import { createSimUpstream } from "../sim/upstream.ts";
import { METRICS_TYPE } from "../telemetry/metrics.ts";
import type { Environment } from "./command.ts";
import type { ProxyMetrics } from "./compose-metrics.ts";

/** What the house stands on. */
export interface Ground {
  readonly clock: Clock;
  readonly random: Random;
  readonly env: Environment;
  readonly readFile: (path: string) => string;
  readonly catalogue: Catalogue;
  readonly note: Rooms["note"];
  readonly quota: Quota & Pick<QuotaRoomProxy, "inquire">;
  /** What is wrong beside the snapshot's own faults, in sentences. */
  faults(): readonly string[];
  draining(): boolean;
  readonly metrics: ProxyMetrics;
  /** True to show metrics to anybody. */
  readonly metricsOpen: boolean;
}

/** The house of a proxy, all rooms joined. */
export interface ComposedHouse {
  readonly house: House;
  readonly holder: SnapshotHolder;
  readonly upstream: HttpUpstream;
  /** All that is wrong, in sentences. */
  faults(): readonly string[];
}

/** Joins the rooms that a request passes through. */
export function composeHouse(ground: Ground): ComposedHouse {
  const { clock, random, catalogue } = ground;
  const holder = createSnapshotHolder({
    env: ground.env,
    readFile: ground.readFile,
    findPrice: (query) => catalogue.findPrice(query),
  });
  const current = () => holder.current;
  const upstream = createHttpUpstream({
    clock,
    dialects: {
      openai: { chat: openaiChat, embed: openaiEmbed },
      anthropic: { chat: anthropicChat },
    },
  });
  const sim = createSimUpstream(clock, random);
  const upstreams = createUpstreams({ openai: upstream, anthropic: upstream, sim });
  const breakers = new Breakers(clock);
  const tools = { clock, random, breakers, quota: ground.quota };
  const policy = createPolicyRoom(current);
  const directory = createModelDirectory(
    current,
    policy,
    (target) => breakers.of(target.id).state === "closed",
  );
  const identify = createIdentify(current, clock);
  const keyWatcher = createKeyWatcher({ current, clock, identify });
  holder.onChange(() => keyWatcher.sweep());
  const rooms: Rooms = {
    identify,
    watchKey: (principal, call) => keyWatcher.watch(principal, call),
    grant: policy.grant,
    attemptChat: createAttemptChat(tools, upstreams),
    attemptEmbed: createAttemptEmbed(tools, upstreams),
    countTokens: createCountTokens(tools, upstreams),
    note: (record) => {
      ground.metrics.count(record);
      return ground.note(record);
    },
  };
  const faults = (): readonly string[] => [...holder.faults(), ...ground.faults()];
  const house: House = {
    clock,
    chat: createChatHandler(rooms, clock),
    embed: createEmbedHandler(rooms, clock),
    countTokens: createCountHandler(rooms),
    identify: rooms.identify,
    listModels: directory.list,
    findModel: directory.find,
    keyLimits: (principal) => readKeyLimits(policy.limitsOf(principal), ground.quota),
    readiness: () => judgeReadiness(holder.current.revision, ground.draining(), faults()),
    refused: (reason) => ground.metrics.refused(reason),
    metrics: {
      open: ground.metricsOpen,
      type: METRICS_TYPE,
      read: () => ground.metrics.read(breakers, holder.current.revision),
    },
    revision: () => holder.current.revision,
    openai: openaiChat,
    openaiEmbed,
    completions: openaiCompletions,
    anthropic: anthropicChat,
  };
  return { house, holder, upstream, faults };
}

/** More limits than this are not asked for at once; no key has so many. */
const KEY_LIMITS_MAX = 1_000;

async function readKeyLimits(
  limits: readonly KeyLimit[],
  quota: Ground["quota"],
): Promise<readonly KeyLimitState[]> {
  const asked = limits.slice(0, KEY_LIMITS_MAX);
  const bounds = asked.flatMap(({ bound }) => bound ?? []);
  const states = new Map((await quota.inquire(bounds)).map((state) => [state.bound.bucket, state]));
  return asked.map((each) => ({ ...each, state: states.get(each.bound?.bucket ?? "") }));
}

/** A fault degrades; only a proxy without policy, or one that is leaving, is not ready. */
function judgeReadiness(revision: number, draining: boolean, faults: readonly string[]): Readiness {
  if (draining) {
    return { ready: false, draining, faults: ["This proxy is shutting down.", ...faults] };
  }
  if (revision > 0) return { ready: true, faults };
  const waiting = "This proxy has no policy yet: it waits for the control process.";
  return { ready: false, faults: [waiting, ...faults] };
}
