import { toJsonString } from "@bufbuild/protobuf";
import { StreamChatResponseSchema } from "../../../../gen/weir/v1/chat_service_pb.ts";
import type { ChatEvent } from "../../../mesh/chunk.ts";
import { FRAME_PREFIX_BYTES } from "./back-writer.ts";

/**
 * All events as `weir.v1.StreamChatResponse` messages in JSON, framed as the Connect protocol does
 * it, in one buffer. `before` is put in front of them.
 */
export function frameJsonEvents(events: readonly ChatEvent[], before?: Buffer): Buffer {
  const texts = events.map(writeEvent);
  let bytes = before?.length ?? 0;
  for (const text of texts) bytes += FRAME_PREFIX_BYTES + Buffer.byteLength(text);
  const frames = Buffer.allocUnsafe(bytes);
  before?.copy(frames);
  let at = before?.length ?? 0;
  for (const text of texts) at += putFrame(frames, at, text);
  return frames;
}

/** A text as one frame with these flags. */
export function frameJson(flags: number, text: string): Buffer {
  const frame = Buffer.allocUnsafe(FRAME_PREFIX_BYTES + Buffer.byteLength(text));
  putFrame(frame, 0, text);
  frame[0] = flags;
  return frame;
}

/** Returns how many bytes it took. */
function putFrame(frames: Buffer, at: number, text: string): number {
  const bytes = frames.write(text, at + FRAME_PREFIX_BYTES);
  frames[at] = 0;
  frames.writeUInt32BE(bytes, at + 1);
  return FRAME_PREFIX_BYTES + bytes;
}

/** By hand what nearly all of a stream is made of; fields with their zero value are left out. */
function writeEvent(event: ChatEvent): string {
  if (event.case === "textDelta") {
    const { choiceIndex, text } = event.value;
    const json = text === "" ? "" : `"text":${JSON.stringify(text)}`;
    if (choiceIndex === 0) return `{"textDelta":{${json}}}`;
  }
  const $typeName = "weir.v1.StreamChatResponse";
  return toJsonString(StreamChatResponseSchema, { $typeName, event });
}
