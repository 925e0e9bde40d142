import type { ChatDialect, EmbedDialect } from "../dialect.ts";
import { readChatAsk } from "./chat-ask.ts";
import { readEmbedAsk, writeVectors } from "./embed-client.ts";
import { readVectors, writeEmbedRequest } from "./embed-vendor.ts";
import { readError, writeError } from "./errors.ts";
import { readAnswer } from "./read-answer.ts";
import { createStreamReader } from "./stream-reader.ts";
import { ChunkWriter } from "./stream-writer.ts";
import { writeAnswer } from "./write-answer.ts";
import { writeChatRequest } from "./write-request.ts";

export { openaiCompletions } from "./completions.ts";

/** `/v1/chat/completions`, both ways. */
export const openaiChat: ChatDialect = {
  name: "openai",
  client: {
    readAsk: readChatAsk,
    writeAnswer,
    createStreamWriter: (ask) => new ChunkWriter(ask),
    writeError,
  },
  vendor: {
    writeRequest: writeChatRequest,
    readAnswer,
    createStreamReader,
    counting: undefined,
    readError,
  },
};

/** `/v1/embeddings`, both ways. */
export const openaiEmbed: EmbedDialect = {
  name: "openai",
  client: { readAsk: readEmbedAsk, writeAnswer: writeVectors, writeError },
  vendor: { writeRequest: writeEmbedRequest, readAnswer: readVectors, readError },
};
