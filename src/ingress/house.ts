import type { Model } from "../../gen/weir/v1/model_service_pb.ts";
import type { ChatClientSide, ChatDialect, EmbedDialect } from "../dialects/dialect.ts";
import type { Clock } from "../mesh/clock.ts";
import type { Principal } from "../mesh/grant.ts";
import type { KeyLimitState } from "../mesh/key-limit.ts";
import type { ChatHandler, CountHandler, EmbedHandler } from "../mesh/rooms.ts";

/** What the doors lead to: handed to them by the composition root. */
export interface House {
  readonly clock: Clock;
  readonly chat: ChatHandler;
  readonly embed: EmbedHandler;
  readonly countTokens: CountHandler;
  /** Credential → principal. Throws CREDENTIAL_*. */
  identify(credential: string | undefined): Principal;
  /** The models that a principal may use, by name. */
  listModels(principal: Principal): readonly Model[];
  /** One of them; undefined when there is none or the principal may not know of it. */
  findModel(principal: Principal, name: string): Model | undefined;
  /**
   * The limits that concern a principal, and what is left of them. Resolves with what is known when
   * the ledger does not answer soon.
   */
  keyLimits(principal: Principal): Promise<readonly KeyLimitState[]>;
  /** Whether requests are served, and what is wrong, in sentences. */
  readiness(): Readiness;
  /** Told of each refusal that leaves no record, by reason; for metrics. */
  refused(reason: string): void;
  /** What Prometheus reads; undefined where nothing is counted. */
  readonly metrics?: MetricsPage;
  readonly openai: ChatDialect;
  readonly openaiEmbed: EmbedDialect;
  readonly anthropic: ChatDialect;
  /** OpenAI's old completions: only a form to ask in. Without it that route is UNIMPLEMENTED. */
  readonly completions?: ChatClientSide;
  /** Revision of the policy that is served by now, for errors that happen before any decision. */
  revision?(): number;
}

/** What `/metrics` says. */
export interface MetricsPage {
  /** True to show it to anybody. */
  readonly open: boolean;
  readonly type: string;
  read(): string;
}

/** What `/readyz` says. */
export interface Readiness {
  readonly ready: boolean;
  /** True when the process is shutting down: who watches it is let go. */
  readonly draining?: boolean;
  readonly faults: readonly string[];
}
