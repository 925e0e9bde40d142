import type { RequestRecord } from "../../gen/weir/admin/v1/record_pb.ts";
import type { ChatAsk, EmbedAsk } from "./ask.ts";
import type { Call } from "./call.ts";
import type { Grant, Principal } from "./grant.ts";
import type { EmbedOutcome, Outcome } from "./outcome.ts";
import type { ChatSink } from "./sink.ts";

/**
 * What the doors call. Resolves when the answer is complete and its record is safe; rejects with a
 * MeshError.
 */
export type ChatHandler = (call: Call, ask: ChatAsk, sink: ChatSink) => Promise<Outcome>;

/** What the doors call for embeddings; resolves and rejects like ChatHandler. */
export type EmbedHandler = (call: Call, ask: EmbedAsk) => Promise<EmbedOutcome>;

/** What the doors call to count a prompt's tokens. Rejects like ChatHandler. */
export type CountHandler = (call: Call, ask: ChatAsk) => Promise<TokenCount>;

/** How long a prompt is. */
export interface TokenCount {
  readonly inputTokens: number;
  /** True when the vendor could not be asked, and Weir estimated. */
  readonly estimated: boolean;
}

/** An eye that is kept on the key of a call. */
export interface KeyWatch {
  /** The call is over. */
  end(): void;
}

/** The rooms that a call passes through, handed to the journey by the composition root. */
export interface Rooms {
  /** Credential → principal. Throws CREDENTIAL_*. */
  identify(credential: string | undefined): Principal;
  /**
   * Cancels a call with CREDENTIAL_* when the key that it was identified by stops being good while
   * it runs. Called in the turn of `identify`.
   */
  watchKey?(principal: Principal, call: Call): KeyWatch;
  /**
   * Principal and ask → what may be done. Throws MODEL_NOT_ALLOWED, MODEL_NOT_FOUND,
   * PARAMETER_NOT_ALLOWED.
   */
  grant(principal: Principal, ask: ChatAsk | EmbedAsk, call: Call): Grant;
  /** Plans the targets and tries them until one commits. */
  attemptChat(grant: Grant, ask: ChatAsk, call: Call, sink: ChatSink): Promise<Outcome>;
  attemptEmbed(grant: Grant, ask: EmbedAsk, call: Call): Promise<EmbedOutcome>;
  countTokens(grant: Grant, ask: ChatAsk, call: Call): Promise<TokenCount>;
  /**
   * Takes the record of a finished call. Resolves when it would survive a kill -9 of this process;
   * the door sends the last bytes only then. Never rejects: a disk that fails is the journal's own
   * alarm.
   */
  note(record: RequestRecord): Promise<void>;
}
