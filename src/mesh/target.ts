import type { Provider } from "../../gen/weir/admin/v1/provider_pb.ts";
import type { Price } from "../../gen/weir/v1/usage_pb.ts";
import type { JsonObject } from "./json.ts";

/** A wire dialect that an upstream may speak. */
export type UpstreamDialect = "openai" | "anthropic" | "sim";

/** A provider, compiled from its resource. */
export interface ProviderEntry {
  /** `providers/{provider}`. */
  readonly name: string;
  readonly dialect: UpstreamDialect;
  /** At least one; taken in turn. No slash at the end. Empty only for `sim`. */
  readonly baseUrls: readonly string[];
  /** The vendor's secret, or undefined when none is needed. */
  readonly secret: string | undefined;
  /** Why it cannot be used, such as a variable that is not set; undefined when all is well. */
  readonly fault: string | undefined;
  readonly resource: Provider;
}

/** One leg of a route, compiled: a provider and the model's name there. */
export interface Target {
  /** Provider and upstream model, unique: what breakers and statistics are kept by. */
  readonly id: string;
  /** The model that leads here, as clients name it. */
  readonly model: string;
  readonly provider: ProviderEntry;
  readonly upstreamModel: string;
  readonly weight: number;
  readonly priority: number;
  /** Laid over the upstream's request body, in its dialect. */
  readonly overrides: JsonObject | undefined;
  readonly headers: Readonly<Record<string, string>>;
  readonly price: Price | undefined;
  /** What it can do; undefined means that it is not known. */
  readonly capabilities: ReadonlySet<string> | undefined;
  /** Most tokens of output; undefined means that it is not known. */
  readonly outputTokensMax: number | undefined;
}
