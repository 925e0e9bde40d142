import { toBinary } from "@bufbuild/protobuf";
import { type Chat, ChatSchema } from "../../../../gen/weir/v1/chat_pb.ts";
import { type EmbedRequest, EmbedRequestSchema } from "../../../../gen/weir/v1/embed_service_pb.ts";
import { backWriter } from "./back-writer.ts";
import { putMessage } from "./encode-message.ts";

/** How many bytes a chat has in protobuf's binary form. */
export function measureChat(chat: Chat): number {
  const { messages } = chat;
  backWriter.begin();
  for (let at = messages.length - 1; at >= 0; at--) putMessage(backWriter, 0x1a, messages[at]);
  if (backWriter.spoiled) return toBinary(ChatSchema, chat).length;
  return backWriter.written + toBinary(ChatSchema, { ...chat, messages: [] }).length;
}

/** How many bytes an embedding's request has in that form. */
export function measureEmbed(request: EmbedRequest): number {
  return toBinary(EmbedRequestSchema, request).length;
}
