import type { ChatDialect } from "../dialect.ts";
import { counting } from "./count-tokens.ts";
import { readError, writeError } from "./errors.ts";
import { readAnswer } from "./read-answer.ts";
import { readAsk } from "./read-request.ts";
import { createStreamReader } from "./stream-reader.ts";
import { createStreamWriter } from "./stream-writer.ts";
import { writeAnswer } from "./write-answer.ts";
import { writeRequest } from "./write-request.ts";

export { writeCount } from "./count-tokens.ts";
export { readCountAsk } from "./read-request.ts";

/** Anthropic's Messages API, both ways. */
export const anthropicChat: ChatDialect = {
  name: "anthropic",
  client: { readAsk, writeAnswer, createStreamWriter, writeError },
  vendor: { writeRequest, readAnswer, createStreamReader, counting, readError },
};
