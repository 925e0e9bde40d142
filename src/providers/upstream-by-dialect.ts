import type { Target, UpstreamDialect } from "../mesh/target.ts";
import type { Upstream } from "../mesh/upstream.ts";

/** The ways to reach upstreams, by the dialect that they speak. */
export type UpstreamsByDialect = Readonly<Record<UpstreamDialect, Upstream>>;

/** One upstream in front of all: each call goes the way that its target's provider demands. */
export function createUpstreams(ways: UpstreamsByDialect): Upstream {
  const way = (target: Target): Upstream => ways[target.provider.dialect];
  return {
    chat: (target, ask, sink, attempt) => way(target).chat(target, ask, sink, attempt),
    embed: (target, ask, attempt) => way(target).embed(target, ask, attempt),
    countTokens: (target, ask, attempt) => way(target).countTokens(target, ask, attempt),
  };
}
