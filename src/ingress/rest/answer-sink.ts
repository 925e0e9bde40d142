import type { Decision } from "../../../gen/weir/v1/chat_pb.ts";
import type { CreateChatResponse } from "../../../gen/weir/v1/chat_service_pb.ts";
import type { DialectName } from "../../mesh/ask.ts";
import type { Call } from "../../mesh/call.ts";
import type { ChatChunk } from "../../mesh/chunk.ts";
import { AnswerFold } from "../../mesh/fold.ts";
import type { Outcome } from "../../mesh/outcome.ts";
import { createTimestamp } from "../../mesh/record.ts";
import type { ChatSink } from "../../mesh/sink.ts";

/** Collects an answer for a caller that wants it whole. */
export class AnswerSink implements ChatSink {
  readonly #passes: DialectName | undefined;
  #whole: ChatChunk | undefined;
  #fold: AnswerFold | undefined;

  /** `passes` names the dialect whose wire form the caller may have as it is. */
  constructor(passes: DialectName | undefined) {
    this.#passes = passes;
  }

  start(_decision: Decision): void {}

  chunk(chunk: ChatChunk): boolean {
    if (chunk.answer !== undefined) {
      this.#whole = chunk;
      return true;
    }
    this.#fold ??= new AnswerFold();
    for (const event of chunk.events()) this.#fold.add(event);
    return true;
  }

  ready(): Promise<void> {
    return Promise.resolve();
  }

  /** The upstream's own body, when the caller speaks its dialect. */
  wire(): Buffer | undefined {
    const wire = this.#whole?.wire;
    return wire !== undefined && wire.dialect === this.#passes ? wire.bytes : undefined;
  }

  /** The answer as a message, with what only the house knows filled in. */
  answer(outcome: Outcome, call: Call): CreateChatResponse {
    const { decision, usage, cost } = outcome;
    const answer = this.#whole?.answer?.() ?? this.#folded(outcome);
    const createTime = answer.createTime ?? createTimestamp(call.startedWallMs);
    return { ...answer, decision, usage, cost, createTime };
  }

  #folded(outcome: Outcome): CreateChatResponse {
    const fold = this.#fold ?? new AnswerFold();
    const { finish, usage, cost } = outcome;
    fold.add({
      case: "finished",
      value: { $typeName: "weir.v1.ChatFinished", finish, usage, cost },
    });
    return fold.response();
  }
}
