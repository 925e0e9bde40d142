import type { Chat, RoutingPreferences } from "../../gen/weir/v1/chat_pb.ts";
import type { EmbedRequest } from "../../gen/weir/v1/embed_service_pb.ts";
import type { JsonObject } from "./json.ts";

/**
 * A wire format that clients or vendors speak. `weir` is the protobuf message itself; `sim` speaks
 * that too.
 */
export type DialectName = "weir" | "openai" | "anthropic";

/**
 * What a caller asks of a chat model. A door fills it with the least work that the journey needs;
 * the message is decoded only when somebody needs it, since a request that goes on in its own
 * dialect never does.
 */
export interface ChatAsk {
  readonly dialect: DialectName;
  /** As the caller wrote it. */
  readonly model: string;
  readonly fallbackModels: readonly string[];
  readonly stream: boolean;
  readonly labels: Readonly<Record<string, string>>;
  readonly sessionId: string;
  readonly endUser: string;
  /**
   * Bytes of the request body: with byte-level tokenizers a sound upper bound of its text tokens.
   */
  readonly bytes: number;
  /** The caller's own body, parsed, unless the dialect is `weir`. Never changed by anybody. */
  readonly wire: JsonObject | undefined;
  /** Header fields for an upstream of this dialect, such as `anthropic-beta`, in lower case. */
  readonly wireHeaders?: Readonly<Record<string, string>>;
  /**
   * Names of the parameters that are set, as `weir.v1.Chat` and `Sampling` name them, for policies
   * to judge.
   */
  parameters(): readonly string[];
  /** The caller's wishes about targets; undefined when there are none. */
  routing(): RoutingPreferences | undefined;
  /** The message, decoded once. Throws INVALID_REQUEST naming the field. */
  chat(): Chat;
  /** What bounds its cost beside its bytes; looked for only where a limit concerns the request. */
  bounds(): AskBounds;
}

/** What bounds the cost of a prompt beside its bytes, as the caller wrote it. */
export interface PromptBounds {
  readonly images: number;
  /** Pieces of sound in the request; undefined for none. */
  readonly sounds?: number;
  /** Bytes of sound in the request, decoded. */
  readonly audioBytes: number;
  /** Documents, such as PDF, wherever they are. */
  readonly files: number;
  /**
   * Those of them whose size nobody here knows; undefined for none, or for all where no document is
   * in the request.
   */
  readonly filesElsewhere?: number;
  /** Bytes of documents in the request, decoded. */
  readonly fileBytes: number;
  /** Characters of the body that are encoded media, and so no text. */
  readonly encodedBytes: number;
}

/** What bounds the cost of a chat, as the caller wrote it. */
export interface AskBounds extends PromptBounds {
  /** The caller's own limit of output tokens for one answer, whatever it is; undefined for none. */
  readonly outputTokensMax: number | undefined;
  /** How many answers it wants. At least 1. */
  readonly choices: number;
}

/** What bounds the cost of an embedding, as the caller wrote it. */
export interface EmbedBounds extends PromptBounds {
  /** Tokens that the caller gave by their ids; the digits of these count as encoded bytes. */
  readonly tokenIds: number;
}

/** What a caller asks of an embedding model; see ChatAsk. */
export interface EmbedAsk {
  readonly dialect: DialectName;
  readonly model: string;
  readonly fallbackModels: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  readonly endUser: string;
  readonly bytes: number;
  readonly wire: JsonObject | undefined;
  parameters(): readonly string[];
  routing(): RoutingPreferences | undefined;
  request(): EmbedRequest;
  /** What bounds its cost beside its bytes; looked for only where a limit concerns the request. */
  bounds(): EmbedBounds;
}
