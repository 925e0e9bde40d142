import { toBinary } from "@bufbuild/protobuf";
import {
  type ReasoningDelta,
  StreamChatResponseSchema,
  type TextDelta,
  type ToolCallArgumentsDelta,
} from "../../../../gen/weir/v1/chat_service_pb.ts";
import type { ChatEvent } from "../../../mesh/chunk.ts";
import { FRAME_PREFIX_BYTES } from "./frame-message.ts";

/**
 * All events as `weir.v1.StreamChatResponse` messages in gRPC framing, one after the other in one
 * buffer, so that they need one write. `before` is put in front of them. The events that make up
 * nearly all of a stream are encoded by hand: a tenth of what the generic encoder costs, and held
 * equal to it by a test.
 */
export function frameEvents(events: readonly ChatEvent[], before?: Buffer): Buffer {
  used = 0;
  if (before !== undefined) putBytes(before);
  for (const event of events) putEvent(event);
  const frames = Buffer.allocUnsafe(used);
  scratch.copy(frames, 0, 0, used);
  if (scratch.length > SCRATCH_KEPT_BYTES) scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES);
  return frames;
}

const SCRATCH_BYTES = 64 * 1024;
/** A buffer that one huge event has made larger than this is given back. */
const SCRATCH_KEPT_BYTES = 1024 * 1024;

// Nothing in here yields, so one scratch buffer serves all streams.
let scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES);
let used = 0;

/** Tags of the fields of StreamChatResponse: field number, then wire type 2. */
const TEXT_DELTA_TAG = (2 << 3) | 2;
const REASONING_DELTA_TAG = (3 << 3) | 2;
const TOOL_CALL_ARGUMENTS_DELTA_TAG = (5 << 3) | 2;

function putEvent(event: ChatEvent): void {
  switch (event.case) {
    case "textDelta":
      if (!putTextDelta(event.value)) putGeneric(event);
      break;
    case "reasoningDelta":
      if (!putReasoningDelta(event.value)) putGeneric(event);
      break;
    case "toolCallArgumentsDelta":
      if (!putToolCallArgumentsDelta(event.value)) putGeneric(event);
      break;
    default:
      putGeneric(event);
  }
}

/**
 * False, and nothing written, when the message has what only the generic encoder knows. So do the
 * next two.
 */
function putTextDelta(delta: TextDelta): boolean {
  if (delta.$unknown !== undefined || !isPlain(delta.choiceIndex)) return false;
  const textBytes = Buffer.byteLength(delta.text);
  beginEvent(TEXT_DELTA_TAG, sizeOfInt(delta.choiceIndex) + sizeOfString(textBytes));
  putInt(1, delta.choiceIndex);
  putString(2, delta.text, textBytes);
  return true;
}

function putReasoningDelta(delta: ReasoningDelta): boolean {
  if (delta.$unknown !== undefined) return false;
  if (!isPlain(delta.choiceIndex) || !isPlain(delta.reasoningIndex)) return false;
  const textBytes = Buffer.byteLength(delta.text);
  const signatureBytes = Buffer.byteLength(delta.signature);
  const redactedBytes = Buffer.byteLength(delta.redacted);
  beginEvent(
    REASONING_DELTA_TAG,
    sizeOfInt(delta.choiceIndex) +
      sizeOfString(textBytes) +
      sizeOfString(signatureBytes) +
      sizeOfString(redactedBytes) +
      sizeOfInt(delta.reasoningIndex),
  );
  putInt(1, delta.choiceIndex);
  putString(2, delta.text, textBytes);
  putString(3, delta.signature, signatureBytes);
  putString(4, delta.redacted, redactedBytes);
  putInt(5, delta.reasoningIndex);
  return true;
}

function putToolCallArgumentsDelta(delta: ToolCallArgumentsDelta): boolean {
  if (delta.$unknown !== undefined) return false;
  if (!isPlain(delta.choiceIndex) || !isPlain(delta.toolCallIndex)) return false;
  const argumentsBytes = Buffer.byteLength(delta.arguments);
  beginEvent(
    TOOL_CALL_ARGUMENTS_DELTA_TAG,
    sizeOfInt(delta.choiceIndex) + sizeOfInt(delta.toolCallIndex) + sizeOfString(argumentsBytes),
  );
  putInt(1, delta.choiceIndex);
  putInt(2, delta.toolCallIndex);
  putString(3, delta.arguments, argumentsBytes);
  return true;
}

function putGeneric(event: ChatEvent): void {
  const message = toBinary(StreamChatResponseSchema, {
    $typeName: "weir.v1.StreamChatResponse",
    event,
  });
  beginFrame(message.length);
  putBytes(message);
}

/** What an int32 field may hold to be encoded here; the rest takes ten bytes or is an error. */
function isPlain(value: number): boolean {
  return value >= 0 && value <= 0x7fff_ffff && Number.isInteger(value);
}

/** Makes room for the whole event, so that what follows need not look. */
function beginEvent(tag: number, bytes: number): void {
  beginFrame(1 + sizeOfVarint(bytes) + bytes);
  scratch[used++] = tag;
  putVarint(bytes);
}

function beginFrame(bytes: number): void {
  reserve(FRAME_PREFIX_BYTES + bytes);
  scratch[used] = 0;
  scratch.writeUInt32BE(bytes, used + 1);
  used += FRAME_PREFIX_BYTES;
}

function reserve(bytes: number): void {
  if (used + bytes <= scratch.length) return;
  const larger = Buffer.allocUnsafeSlow(Math.max(used + bytes, scratch.length * 2));
  scratch.copy(larger, 0, 0, used);
  scratch = larger;
}

function putBytes(bytes: Uint8Array): void {
  reserve(bytes.length);
  scratch.set(bytes, used);
  used += bytes.length;
}

function sizeOfInt(value: number): number {
  return value === 0 ? 0 : 1 + sizeOfVarint(value);
}

function sizeOfString(bytes: number): number {
  return bytes === 0 ? 0 : 1 + sizeOfVarint(bytes) + bytes;
}

function sizeOfVarint(value: number): number {
  if (value < 0x80) return 1;
  if (value < 0x4000) return 2;
  if (value < 0x20_0000) return 3;
  return value < 0x1000_0000 ? 4 : 5;
}

function putVarint(value: number): void {
  let rest = value;
  while (rest >= 0x80) {
    scratch[used++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  scratch[used++] = rest;
}

function putInt(field: number, value: number): void {
  if (value === 0) return;
  scratch[used++] = field << 3;
  putVarint(value);
}

/** Up to here a loop is quicker than a call into the runtime. */
const LOOP_CHARS_MAX = 24;

function putString(field: number, text: string, bytes: number): void {
  if (bytes === 0) return;
  scratch[used++] = (field << 3) | 2;
  putVarint(bytes);
  if (bytes !== text.length) scratch.write(text, used, "utf8");
  else if (bytes > LOOP_CHARS_MAX) scratch.write(text, used, "latin1");
  else for (let at = 0; at < bytes; at++) scratch[used + at] = text.charCodeAt(at);
  used += bytes;
}
