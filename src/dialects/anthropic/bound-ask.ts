import type { AskBounds } from "../../mesh/ask.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "../../mesh/json.ts";
import { BoundsTally, sizeBase64 } from "../bounds-tally.ts";

/** What bounds the cost of a body of `/v1/messages`; see AskBounds. */
export function boundBody(body: JsonObject): AskBounds {
  const tally = new BoundsTally();
  tallyBody(body, tally);
  return tally.bounds;
}

/** Adds up a body of this dialect, or what is laid over one. Takes anything. */
export function tallyBody(body: JsonObject, tally: BoundsTally): void {
  tally.limit(body.max_tokens);
  tallyBlocks(body.system, tally);
  if (!Array.isArray(body.messages)) return;
  for (const message of body.messages) {
    if (isJsonObject(message)) tallyBlocks(message.content, tally);
  }
}

/** Adds up one block of content. */
export function tallyBlock(block: JsonValue | undefined, tally: BoundsTally): void {
  if (!isJsonObject(block)) return;
  switch (block.type) {
    case "text":
    case "thinking":
    case "redacted_thinking":
    case "tool_use":
    case "tool_reference":
      return;
    case "search_result":
    case "tool_result":
      tallyBlocks(block.content, tally);
      return;
    case "image":
      tallyImage(block.source, tally);
      return;
    case "document":
      tallyDocument(block.source, tally);
      return;
    default:
      if (typeof block.type === "string" && /_tool_(use|result)$/.test(block.type)) {
        tallyToolResult(block.content, tally);
      } else {
        tally.elsewhere();
      }
  }
}

function tallyBlocks(content: JsonValue | undefined, tally: BoundsTally): void {
  if (!Array.isArray(content)) return;
  for (const block of content) tallyBlock(block, tally);
}

/** What a tool of the vendor's has found, sent back: of all that only documents are no text. */
function tallyToolResult(content: JsonValue | undefined, tally: BoundsTally): void {
  const found = isJsonObject(content) ? content.content : content;
  for (const each of Array.isArray(found) ? found : [found]) {
    if (!isJsonObject(each)) continue;
    if (each.type === "document" || each.type === "image") tallyBlock(each, tally);
  }
}

function tallyImage(source: JsonValue | undefined, tally: BoundsTally): void {
  const { type, media_type: mediaType, data } = isJsonObject(source) ? source : {};
  const claims = typeof mediaType === "string" && mediaType.startsWith("image/");
  tally.image(type === "base64" && claims && typeof data === "string" ? data.length : 0);
}

function tallyDocument(source: JsonValue | undefined, tally: BoundsTally): void {
  if (!isJsonObject(source)) {
    tally.elsewhere();
    return;
  }
  const { type, data, content } = source;
  if (type === "text") return;
  if (type === "content") {
    tallyBlocks(content, tally);
  } else if (type === "base64" && typeof data === "string") {
    const mediaType = typeof source.media_type === "string" ? source.media_type : "";
    const size = sizeBase64(data.length);
    tally.file(mediaType, size, data.length, () => Buffer.from(data, "base64"));
  } else {
    tally.elsewhere();
  }
}
