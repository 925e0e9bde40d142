import type { ContentPart, Message } from "../../../../gen/weir/v1/chat_pb.ts";
import type { BackWriter } from "./back-writer.ts";

// The tags are the number of the field times eight, plus 2 for what has a length before it and 0
// for a number.

/** A `weir.v1.Message` as a field with this tag; unless it is set, nothing. */
export function putMessage(writer: BackWriter, tag: number, message: Message | undefined): void {
  if (message === undefined) return;
  if (message.$unknown !== undefined) writer.spoil();
  const { written } = writer;
  writer.string(0x1a, message.name);
  const { parts } = message;
  for (let at = parts.length - 1; at >= 0; at--) putPart(writer, parts[at]);
  writer.int32(0x08, message.role);
  writer.message(tag, written);
}

function putPart(writer: BackWriter, part: ContentPart | undefined): void {
  if (part === undefined) return;
  if (part.$unknown !== undefined || part.cacheBreakpoint !== undefined) writer.spoil();
  const { written } = writer;
  putContent(writer, part.part);
  writer.message(0x12, written);
}

function putContent(writer: BackWriter, content: ContentPart["part"]): void {
  if (content.case === undefined) return;
  if (content.value.$unknown !== undefined) writer.spoil();
  const { written } = writer;
  switch (content.case) {
    case "text":
      if (content.value.citations.length > 0) writer.spoil();
      writer.string(0x0a, content.value.text);
      writer.message(0x0a, written);
      break;
    case "toolCall":
      writer.string(0x2a, content.value.signature);
      writer.bool(0x20, content.value.custom);
      writer.string(0x1a, content.value.arguments);
      writer.string(0x12, content.value.name);
      writer.string(0x0a, content.value.id);
      writer.message(0x2a, written);
      break;
    case "reasoning":
      writer.string(0x1a, content.value.redacted);
      writer.string(0x12, content.value.signature);
      writer.string(0x0a, content.value.text);
      writer.message(0x3a, written);
      break;
    case "refusal":
      writer.string(0x0a, content.value.text);
      writer.message(0x42, written);
      break;
    default:
      writer.spoil();
  }
}
