import type { MessageInitShape } from "@bufbuild/protobuf";
import { type MessageSchema, Role } from "../../gen/weir/v1/chat_pb.ts";

/** One turn of a conversation, as it is written in code. */
export type MessageInit = MessageInitShape<typeof MessageSchema>;

/** Instructions for the model. */
export function system(text: string): MessageInit {
  return say(Role.SYSTEM, text);
}

/** What the user says. */
export function user(text: string): MessageInit {
  return say(Role.USER, text);
}

/** What the model has said. */
export function assistant(text: string): MessageInit {
  return say(Role.ASSISTANT, text);
}

function say(role: Role, text: string): MessageInit {
  return { role, parts: [{ part: { case: "text", value: { text } } }] };
}
