import type { AskBounds, EmbedBounds } from "../../mesh/ask.ts";
import { isJsonObject, type JsonObject } from "../../mesh/json.ts";
import { BoundsTally, sizeBase64 } from "../bounds-tally.ts";
import { type Field, isJsonArray } from "./field.ts";

/** What bounds the cost of a body of `/v1/chat/completions`; see AskBounds. */
export function boundChatBody(body: JsonObject): AskBounds {
  const tally = new BoundsTally();
  tallyChatBody(body, tally);
  return tally.bounds;
}

/** What bounds the cost of a body of `/v1/embeddings`; see EmbedBounds. */
export function boundEmbedBody({ input }: JsonObject): EmbedBounds {
  const tally = new BoundsTally();
  if (isJsonArray(input)) {
    tallyIds(input, tally);
    for (const item of input) if (isJsonArray(item)) tallyIds(item, tally);
  }
  return tally.embedBounds;
}

/** Numbers of a list are tokens by their ids; only digits that are there for sure are no text. */
function tallyIds(list: readonly Field[], tally: BoundsTally): void {
  for (const id of list) if (typeof id === "number") tally.tokenId(id < 10 ? 1 : id < 100 ? 2 : 3);
}

/** Adds up a body of this dialect, or what is laid over one. Takes anything. */
export function tallyChatBody(body: JsonObject, tally: BoundsTally): void {
  tally.limit(body.max_tokens);
  tally.limit(body.max_completion_tokens);
  tally.choices(body.n);
  // Engines that know it make so many answers to choose from.
  tally.choices(body.best_of);
  if (!isJsonArray(body.messages)) return;
  for (const message of body.messages) {
    if (!isJsonObject(message)) continue;
    // An earlier spoken answer, by its name.
    if (isJsonObject(message.audio)) tally.elsewhere();
    const { content } = message;
    if (!isJsonArray(content)) continue;
    for (const part of content) tallyPart(part, tally);
  }
}

/** Adds up one part of a message's content. */
export function tallyPart(part: Field, tally: BoundsTally): void {
  if (!isJsonObject(part)) return;
  switch (part.type) {
    case "text":
    case "refusal":
    case "input_text":
    case "output_text":
    case "thinking":
      return;
    case "image_url":
    case "input_image":
      tallyImage(part.image_url, tally);
      return;
    case "input_audio":
      tallyAudio(part.input_audio, tally);
      return;
    case "file":
      tallyFile(part.file, tally);
      return;
    default:
      // Engines know more kinds, such as `video_url`.
      tally.elsewhere();
  }
}

function tallyImage(given: Field, tally: BoundsTally): void {
  const url = isJsonObject(given) ? given.url : given;
  const data = typeof url === "string" ? readDataUrl(url) : undefined;
  tally.image(data?.mediaType.startsWith("image/") ? data.characters : 0);
}

function tallyAudio(audio: Field, tally: BoundsTally): void {
  if (isJsonObject(audio) && typeof audio.data === "string") {
    tally.audio(sizeBase64(audio.data.length), audio.data.length);
  } else {
    tally.elsewhere();
  }
}

function tallyFile(file: Field, tally: BoundsTally): void {
  const data = isJsonObject(file) ? file.file_data : undefined;
  if (typeof data !== "string" || /^https?:/.test(data)) {
    tally.elsewhere();
    return;
  }
  const url = readDataUrl(data);
  const base64 = url === undefined ? data : url.base64();
  // Base64 of `%PDF`.
  const isPdf = url === undefined && base64.startsWith("JVBER");
  const mediaType = isPdf ? "application/pdf" : (url?.mediaType ?? "");
  const size = sizeBase64(base64.length);
  tally.file(mediaType, size, base64.length, () => Buffer.from(base64, "base64"));
}

/** A `data:` URL in base64; those in percent encoding are text. */
function readDataUrl(
  url: string,
): { mediaType: string; characters: number; base64: () => string } | undefined {
  if (!url.startsWith("data:")) return undefined;
  const comma = url.indexOf(",");
  const [mediaType = "", ...parameters] = url.slice(5, Math.max(5, comma)).split(";");
  if (comma < 0 || !parameters.includes("base64")) return undefined;
  return {
    mediaType,
    characters: url.length - comma - 1,
    base64: () => url.slice(comma + 1),
  };
}
