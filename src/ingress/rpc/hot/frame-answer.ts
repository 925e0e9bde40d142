import { type DescMessage, type MessageShape, toBinary } from "@bufbuild/protobuf";
import type { Choice } from "../../../../gen/weir/v1/chat_pb.ts";
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
import { putMessage } from "./encode-message.ts";
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

/** An answer without framing. */
export function encodeChatAnswer(answer: CreateChatResponse): Buffer {
  write(CreateChatResponseSchema, answer, putChatAnswer);
  return backWriter.copy();
}

/** Vectors without framing. */
export function encodeVectors(answer: EmbedResponse): Buffer {
  write(EmbedResponseSchema, answer, putVectors);
  return backWriter.copy();
}

type Put<Desc extends DescMessage> = (writer: BackWriter, message: MessageShape<Desc>) => void;

function frame<Desc extends DescMessage>(
  schema: Desc,
  message: MessageShape<Desc>,
  put: Put<Desc>,
): Buffer {
  write(schema, message, put);
  backWriter.frame(0);
  return backWriter.copy();
}

function write<Desc extends DescMessage>(
  schema: Desc,
  message: MessageShape<Desc>,
  put: Put<Desc>,
): void {
  backWriter.begin();
  put(backWriter, message);
  if (!backWriter.spoiled) return;
  backWriter.begin();
  backWriter.bytes(toBinary(schema, message));
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
  putMessage(writer, 0x12, choice.message);
  writer.int32(0x08, choice.index);
  writer.message(0x12, written);
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
