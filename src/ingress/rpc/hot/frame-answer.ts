import { type DescMessage, type MessageShape, toBinary } from "@bufbuild/protobuf";
import type { Choice, ContentPart, Message } from "../../../../gen/weir/v1/chat_pb.ts";
import {
  type CreateChatResponse,
  CreateChatResponseSchema,
} from "../../../../gen/weir/v1/chat_service_pb.ts";
import type { Embedding } from "../../../../gen/weir/v1/embed_pb.ts";
import {
  type EmbedResponse,
  EmbedResponseSchema,
} from "../../../../gen/weir/v1/embed_service_pb.ts";
import { type BackWriter, backWriter } from "./back-writer.ts";
import { putCost, putDecision, putFinish, putTime, putUsage } from "./encode-outcome.ts";

// The tags are the number of the field times eight, plus 2 for what has a length before it and 0
// for a number.

/** An answer in gRPC framing: by hand what nearly all answers are made of, generically the rest. */
export function frameChatAnswer(answer: CreateChatResponse): Buffer {
  return frame(CreateChatResponseSchema, answer, putChatAnswer);
}

/** Vectors in gRPC framing, likewise. */
export function frameVectors(answer: EmbedResponse): Buffer {
  return frame(EmbedResponseSchema, answer, putVectors);
}

function frame<Desc extends DescMessage>(
  schema: Desc,
  message: MessageShape<Desc>,
  put: (writer: BackWriter, message: MessageShape<Desc>) => void,
): Buffer {
  backWriter.begin();
  put(backWriter, message);
  if (backWriter.spoiled) {
    backWriter.begin();
    backWriter.bytes(toBinary(schema, message));
  }
  backWriter.frame(0);
  return backWriter.copy();
}

function putChatAnswer(writer: BackWriter, answer: CreateChatResponse): void {
  if (answer.$unknown !== undefined) writer.spoil();
  writer.string(0x3a, answer.vendorFields);
  writer.string(0x32, answer.upstreamModelVersion);
  putTime(writer, 0x2a, answer.createTime);
  putCost(writer, 0x22, answer.cost);
  putUsage(writer, 0x1a, answer.usage);
  const { choices } = answer;
  for (let at = choices.length - 1; at >= 0; at--) putChoice(writer, choices[at]);
  putDecision(writer, 0x0a, answer.decision);
}

function putChoice(writer: BackWriter, choice: Choice | undefined): void {
  if (choice === undefined) return;
  const { $unknown, logprobs, refusalLogprobs } = choice;
  if ($unknown !== undefined || logprobs.length > 0 || refusalLogprobs.length > 0) writer.spoil();
  const { written } = writer;
  putFinish(writer, 0x1a, choice.finish);
  putMessage(writer, choice.message);
  writer.int32(0x08, choice.index);
  writer.message(0x12, written);
}

function putMessage(writer: BackWriter, message: Message | undefined): void {
  if (message === undefined) return;
  if (message.$unknown !== undefined) writer.spoil();
  const { written } = writer;
  writer.string(0x1a, message.name);
  const { parts } = message;
  for (let at = parts.length - 1; at >= 0; at--) putPart(writer, parts[at]);
  writer.int32(0x08, message.role);
  writer.message(0x12, written);
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

function putVectors(writer: BackWriter, answer: EmbedResponse): void {
  if (answer.$unknown !== undefined) writer.spoil();
  putCost(writer, 0x22, answer.cost);
  putUsage(writer, 0x1a, answer.usage);
  const { embeddings } = answer;
  for (let at = embeddings.length - 1; at >= 0; at--) putVector(writer, embeddings[at]);
  putDecision(writer, 0x0a, answer.decision);
}

function putVector(writer: BackWriter, vector: Embedding | undefined): void {
  if (vector === undefined) return;
  if (vector.$unknown !== undefined) writer.spoil();
  const { written } = writer;
  if (vector.littleEndian.length > 0) {
    const length = writer.written;
    writer.bytes(vector.littleEndian);
    writer.message(0x1a, length);
  }
  writer.floats(0x12, vector.values);
  writer.int32(0x08, vector.index);
  writer.message(0x12, written);
}
