import type { Audio, Blob, Chat, ContentPart, VendorPart } from "../../gen/weir/v1/chat_pb.ts";
import type { EmbedRequest } from "../../gen/weir/v1/embed_service_pb.ts";
import type { AskBounds, EmbedBounds } from "../mesh/ask.ts";
import { isJsonObject, type JsonValue } from "../mesh/json.ts";
import { tallyBlock, tallyBody } from "./anthropic/bound-ask.ts";
import { BoundsTally } from "./bounds-tally.ts";
import { tallyChatBody, tallyPart } from "./openai/bound-ask.ts";

/** What bounds the cost of a chat of the typed door; see AskBounds. */
export function boundChat(chat: Chat): AskBounds {
  const tally = new BoundsTally();
  tally.limit(chat.sampling?.maxTokens);
  tally.choices(chat.sampling?.n);
  for (const { parts } of chat.messages) tallyParts(parts, tally);
  if (chat.providerOptions !== "") tallyOptions(chat.providerOptions, tally);
  return tally.bounds;
}

/** What bounds the cost of an embedding of the typed door; see EmbedBounds. */
export function boundEmbed(request: EmbedRequest): EmbedBounds {
  const tally = new BoundsTally();
  for (const { input } of request.inputs) {
    if (input.case === "parts") tallyParts(input.value.parts, tally);
    if (input.case !== "tokens") continue;
    for (const id of input.value.ids) tally.tokenId(sizeId(id));
  }
  return tally.embedBounds;
}

/** Bytes of a token's id on the wire: never more than its digits in JSON. */
function sizeId(id: number): number {
  if (id < 0x80) return 1;
  return id < 0x4000 ? 2 : 3;
}

function tallyParts(parts: readonly ContentPart[], tally: BoundsTally): void {
  for (const { part } of parts) {
    switch (part.case) {
      case "image":
        tally.image(isOfKind(part.value.blob, "image/") ? sizeOf(part.value.blob) : 0);
        break;
      case "audio":
        tallyAudio(part.value, tally);
        break;
      case "file":
        tallyFile(part.value.blob, tally);
        break;
      case "toolResult":
        tallyParts(part.value.parts, tally);
        break;
      case "vendor":
        tallyVendor(part.value, tally);
        break;
      case "text":
      case "refusal":
      case "reasoning":
      case "toolCall":
      case undefined:
        break;
      default:
        part satisfies never;
    }
  }
}

function tallyAudio({ blob }: Audio, tally: BoundsTally): void {
  const bytes = sizeOf(blob);
  if (blob?.source.case !== "data") tally.elsewhere();
  else tally.audio(bytes, isOfKind(blob, "audio/") ? bytes : 0);
}

function tallyFile(blob: Blob | undefined, tally: BoundsTally): void {
  if (blob?.source.case !== "data") {
    tally.elsewhere();
    return;
  }
  const { value } = blob.source;
  const head = Buffer.from(value.buffer, value.byteOffset, Math.min(4, value.byteLength));
  const isPdf = blob.mediaType === "" && head.toString("latin1") === "%PDF";
  const mediaType = isPdf ? "application/pdf" : blob.mediaType;
  tally.file(mediaType, value.byteLength, value.byteLength, () => value);
}

/** What does not say what it is counts as what its place says; what says otherwise, as text too. */
function isOfKind(blob: Blob | undefined, kind: string): boolean {
  return blob === undefined || blob.mediaType === "" || blob.mediaType.startsWith(kind);
}

function sizeOf(blob: Blob | undefined): number {
  return blob?.source.case === "data" ? blob.source.value.byteLength : 0;
}

/** A part in a vendor's own words. What is encoded in it counts as text. */
function tallyVendor({ dialect, json }: VendorPart, tally: BoundsTally): void {
  const part = parse(json);
  const within = new BoundsTally();
  if (dialect === "anthropic") tallyBlock(part, within);
  else tallyPart(part, within);
  addMedia(tally, within.bounds);
}

/** Options are laid over the body, and may name a limit, a number of answers, even messages. */
function tallyOptions(options: string, tally: BoundsTally): void {
  const byDialect = parse(options);
  if (!isJsonObject(byDialect)) return;
  for (const dialect in byDialect) {
    const fields = byDialect[dialect];
    if (!isJsonObject(fields)) continue;
    const within = new BoundsTally();
    if (dialect === "anthropic") tallyBody(fields, within);
    else tallyChatBody(fields, within);
    tally.limit(within.bounds.outputTokensMax);
    tally.choices(within.bounds.choices);
    addMedia(tally, within.bounds);
  }
}

function addMedia(tally: BoundsTally, { images, files, sounds = 0, audioBytes }: AskBounds): void {
  for (let count = 0; count < images; count++) tally.image();
  for (let count = 0; count < files; count++) tally.elsewhere();
  for (let count = 0; count < sounds; count++) tally.audio(count === 0 ? audioBytes : 0, 0);
}

function parse(json: string): JsonValue | undefined {
  try {
    return JSON.parse(json);
  } catch {
    return undefined;
  }
}
