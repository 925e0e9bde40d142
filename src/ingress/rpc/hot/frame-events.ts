import { toBinary } from "@bufbuild/protobuf";
import {
  type ChatFinished,
  type ChatStarted,
  StreamChatResponseSchema,
  type ToolCallStarted,
} from "../../../../gen/weir/v1/chat_service_pb.ts";
import type { ChatEvent } from "../../../mesh/chunk.ts";
import { type BackWriter, backWriter } from "./back-writer.ts";
import { putCost, putDecision, putFinish, putTime, putUsage } from "./encode-outcome.ts";

/**
 * All events as `weir.v1.StreamChatResponse` messages in gRPC framing, one after the other in one
 * buffer, so that they need one write. `before` is put in front of them. The events that make up
 * nearly all of a stream are encoded by hand: a tenth of what the generic encoder costs, and held
 * equal to it by a test.
 */
export function frameEvents(events: readonly ChatEvent[], before?: Buffer): Buffer {
  backWriter.begin();
  for (let at = events.length - 1; at >= 0; at--) putEvent(backWriter, events[at]);
  if (before !== undefined) backWriter.bytes(before);
  return backWriter.copy();
}

function putEvent(writer: BackWriter, event: ChatEvent | undefined): void {
  if (event === undefined) return;
  const { written } = writer;
  if (event.value.$unknown !== undefined) writer.spoil();
  else putKnown(writer, event);
  if (writer.spoiled) {
    writer.rewind(written);
    const $typeName = "weir.v1.StreamChatResponse";
    writer.bytes(toBinary(StreamChatResponseSchema, { $typeName, event }));
  }
  writer.frame(written);
}

// The tags are the number of the field times eight, plus 2 for what has a length before it and 0
// for a number.

function putKnown(writer: BackWriter, event: ChatEvent): void {
  const { written } = writer;
  switch (event.case) {
    case "textDelta":
      writer.string(0x12, event.value.text);
      writer.int32(0x08, event.value.choiceIndex);
      writer.message(0x12, written);
      break;
    case "reasoningDelta":
      writer.int32(0x28, event.value.reasoningIndex);
      writer.string(0x22, event.value.redacted);
      writer.string(0x1a, event.value.signature);
      writer.string(0x12, event.value.text);
      writer.int32(0x08, event.value.choiceIndex);
      writer.message(0x1a, written);
      break;
    case "toolCallStarted":
      putToolCallStarted(writer, event.value);
      break;
    case "toolCallArgumentsDelta":
      writer.string(0x1a, event.value.arguments);
      writer.int32(0x10, event.value.toolCallIndex);
      writer.int32(0x08, event.value.choiceIndex);
      writer.message(0x2a, written);
      break;
    case "toolCallDone":
      writer.int32(0x10, event.value.toolCallIndex);
      writer.int32(0x08, event.value.choiceIndex);
      writer.message(0x32, written);
      break;
    case "choiceFinished":
      putFinish(writer, 0x12, event.value.finish);
      writer.int32(0x08, event.value.choiceIndex);
      writer.message(0x62, written);
      break;
    case "started":
      putStarted(writer, event.value);
      break;
    case "finished":
      putFinished(writer, event.value);
      break;
    default:
      writer.spoil();
  }
}

function putToolCallStarted(writer: BackWriter, started: ToolCallStarted): void {
  const { written } = writer;
  writer.string(0x32, started.signature);
  writer.bool(0x28, started.custom);
  writer.string(0x22, started.name);
  writer.string(0x1a, started.id);
  writer.int32(0x10, started.toolCallIndex);
  writer.int32(0x08, started.choiceIndex);
  writer.message(0x22, written);
}

function putStarted(writer: BackWriter, started: ChatStarted): void {
  const { written } = writer;
  writer.string(0x1a, started.upstreamModelVersion);
  putTime(writer, 0x12, started.createTime);
  putDecision(writer, 0x0a, started.decision);
  writer.message(0x0a, written);
}

function putFinished(writer: BackWriter, finished: ChatFinished): void {
  const { written } = writer;
  putTime(writer, 0x2a, finished.latency);
  putTime(writer, 0x22, finished.timeToFirstToken);
  putCost(writer, 0x1a, finished.cost);
  putUsage(writer, 0x12, finished.usage);
  putFinish(writer, 0x0a, finished.finish);
  writer.message(0x7a, written);
}
