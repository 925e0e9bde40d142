import {
  type Chat,
  type ContentPart,
  type Message,
  Role,
  type Tool,
} from "../../gen/weir/v1/chat_pb.ts";
import { countTokens } from "./tokens.ts";

/** What a picture, a sound or a file is said to cost, whatever its size. */
const TOKENS_A_BLOB = 256;

/** The text of the last message that a user wrote; empty when there is none. */
export function findLastUserText(chat: Chat): string {
  for (let i = chat.messages.length - 1; i >= 0; i--) {
    const message = chat.messages[i];
    if (message?.role !== Role.USER) continue;
    const text = joinTexts(message);
    if (text !== "") return text;
  }
  return "";
}

/** Tokens of a prompt: those of each text, and of the tools that it names. At least one. */
export function countPrompt(chat: Chat): number {
  let tokens = 0;
  for (const message of chat.messages) tokens += countParts(message.parts);
  for (const tool of chat.tools) tokens += countTool(tool);
  return Math.max(1, tokens);
}

/** Tokens of a run of parts. */
export function countParts(parts: readonly ContentPart[]): number {
  let tokens = 0;
  for (const { part } of parts) {
    switch (part.case) {
      case "text":
      case "reasoning":
      case "refusal":
        tokens += countTokens(part.value.text);
        break;
      case "toolCall":
        tokens += countTokens(part.value.name + part.value.arguments);
        break;
      case "toolResult":
        tokens += countParts(part.value.parts);
        break;
      case "vendor":
        tokens += countTokens(part.value.json);
        break;
      case "image":
      case "audio":
      case "file":
        tokens += TOKENS_A_BLOB;
        break;
      case undefined:
        break;
      default:
        part satisfies never;
    }
  }
  return tokens;
}

/** True when the conversation ends in what a tool answered, so that the model should now speak. */
export function endsInToolResult(chat: Chat): boolean {
  const last = chat.messages.at(-1);
  return last?.parts.some(({ part }) => part.case === "toolResult") ?? false;
}

function joinTexts(message: Message): string {
  let text = "";
  for (const { part } of message.parts) {
    if (part.case === "text") text += part.value.text;
  }
  return text;
}

function countTool(tool: Tool): number {
  switch (tool.tool.case) {
    case "function": {
      const { name, description, parametersSchema } = tool.tool.value;
      return countTokens(name + description + parametersSchema);
    }
    case "custom":
      return countTokens(tool.tool.value.name + tool.tool.value.description);
    case "vendor":
      return countTokens(tool.tool.value.json);
    default:
      return 0;
  }
}
