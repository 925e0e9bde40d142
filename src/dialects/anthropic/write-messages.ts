import { type ContentPart, type Message, Role } from "../../../gen/weir/v1/chat_pb.ts";
import type { JsonObject, JsonValue } from "../../mesh/json.ts";
import { refuseField } from "./fields.ts";
import type { ModelTraits } from "./models.ts";
import { type ContentNotes, writeBlocks } from "./write-content.ts";

/** A conversation as Anthropic has it. */
export interface Conversation {
  /** Blocks of the `system` field. */
  readonly system: JsonObject[];
  readonly messages: JsonObject[];
}

/**
 * Messages as a conversation. System and developer messages in front become `system`. A later one
 * stays at its place: as a system turn where the model takes one there (after a user's turn, before
 * the model's or at the end), else as text of the user's turn within `<system>`, with a warning,
 * since moving it to the front would change what it applies to and invalidate the prompt cache.
 * Turns of one role in a row are one turn, tool results first in it, as Anthropic wants them.
 */
export function writeConversation(
  messages: readonly Message[],
  traits: ModelTraits,
  notes: ContentNotes,
): Conversation {
  const system: JsonObject[] = [];
  const turns: Turn[] = [];
  messages.forEach((message, index) => {
    const path = `messages[${index}]`;
    if (message.name !== "") notes.warnings.push(`${path}.name: speakers have no names here`);
    const blocks = writeBlocks(message.parts, `${path}.parts`, notes);
    if (!isSystem(message)) {
      append(turns, mapRole(message.role, path), blocks);
      return;
    }
    if (turns.length === 0) {
      assertTexts(message.parts, path);
      system.push(...blocks);
      return;
    }
    if (takesSystemTurn(turns, messages[index + 1], message, traits)) {
      append(turns, "system", blocks);
      return;
    }
    notes.warnings.push(`${path}: the system message is sent as text of the user's turn`);
    append(turns, "user", blocks.map(markSystem));
  });
  const filled = turns.filter((turn) => turn.blocks.length > 0);
  if (filled.length === 0) throw refuseField("messages", "must hold more than instructions");
  return { system, messages: filled.map(writeTurn) };
}

interface Turn {
  readonly role: "user" | "assistant" | "system";
  readonly blocks: JsonObject[];
}

function isSystem(message: Message): boolean {
  return message.role === Role.SYSTEM || message.role === Role.DEVELOPER;
}

function mapRole(role: Role, path: string): Turn["role"] {
  if (role === Role.ASSISTANT) return "assistant";
  if (role === Role.USER || role === Role.TOOL) return "user";
  throw refuseField(`${path}.role`, "must be given");
}

function append(turns: Turn[], role: Turn["role"], blocks: readonly JsonObject[]): void {
  const last = turns.at(-1);
  if (last?.role === role) last.blocks.push(...blocks);
  else turns.push({ role, blocks: [...blocks] });
}

/**
 * Blocks that only Anthropic has, such as the addition of a tool, exist nowhere but in system
 * turns.
 */
function takesSystemTurn(
  turns: readonly Turn[],
  next: Message | undefined,
  message: Message,
  traits: ModelTraits,
): boolean {
  if (message.parts.some((part) => part.part.case === "vendor")) return true;
  if (!traits.systemTurns) return false;
  const before = turns.at(-1)?.role;
  const fitsBefore = before === "user" || before === "system";
  return fitsBefore && (next === undefined || next.role === Role.ASSISTANT || isSystem(next));
}

function markSystem(block: JsonObject): JsonObject {
  if (block.type !== "text") return block;
  return { ...block, text: `<system>\n${block.text}\n</system>` };
}

function assertTexts(parts: readonly ContentPart[], path: string): void {
  parts.forEach((part, index) => {
    if (part.part.case === "text") return;
    throw refuseField(`${path}.parts[${index}]`, "instructions must be text for this target");
  });
}

function writeTurn(turn: Turn): JsonObject {
  const { role, blocks } = turn;
  const isResult = (block: JsonObject): boolean => block.type === "tool_result";
  const content: JsonValue[] =
    role === "user"
      ? [...blocks.filter(isResult), ...blocks.filter((block) => !isResult(block))]
      : blocks;
  return { role, content };
}
