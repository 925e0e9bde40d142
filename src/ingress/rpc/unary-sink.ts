import type { Decision } from "../../../gen/weir/v1/chat_pb.ts";
import type { CreateChatResponse } from "../../../gen/weir/v1/chat_service_pb.ts";
import type { ChatChunk } from "../../mesh/chunk.ts";
import { AnswerFold } from "../../mesh/fold.ts";
import type { Outcome } from "../../mesh/outcome.ts";
import type { ChatSink } from "../../mesh/sink.ts";

/**
 * Gathers an answer that is sent as one message. It is never behind: the answer has to be held
 * whole anyway.
 */
export class UnarySink implements ChatSink {
  #whole: CreateChatResponse | undefined;
  #fold: AnswerFold | undefined;

  start(_decision: Decision): void {}

  chunk(chunk: ChatChunk): boolean {
    if (chunk.answer !== undefined) {
      this.#whole = chunk.answer();
      return true;
    }
    this.#fold ??= new AnswerFold();
    for (const event of chunk.events()) this.#fold.add(event);
    return true;
  }

  ready(): Promise<void> {
    return Promise.resolve();
  }

  /** The whole answer, with what only the outcome knows. */
  answer(outcome: Outcome): CreateChatResponse {
    const whole = this.#whole ?? (this.#fold ?? new AnswerFold()).response();
    const { decision, usage, cost, finish } = outcome;
    const first = whole.choices[0];
    // A folded answer may lack its end, which came with the outcome and not as an event.
    if (first !== undefined && first.finish === undefined) first.finish = finish;
    return { ...whole, decision, usage, cost };
  }
}
