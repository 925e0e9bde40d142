import { toJsonString } from "@bufbuild/protobuf";
import { z } from "zod";
import { StreamChatResponseSchema } from "../../gen/weir/v1/chat_service_pb.ts";
import { type ChatEvent, type ChatInit, system, user, type WeirClient } from "../client/index.ts";
import { WeirError } from "../client/weir-error.ts";
import type { Command } from "./command.ts";
import { callerOptions, connectionShape, withCaller } from "./connection.ts";
import { Failure } from "./failure.ts";
import { print, printNote, toPrintable } from "./output.ts";
import { formatCost } from "./quantities.ts";
import { type OptionSpecs, readOptions } from "./read-options.ts";
import { readStandardInput } from "./standard-input.ts";
import { UsageError } from "./usage-error.ts";

const options: OptionSpecs = {
  ...callerOptions,
  system: { value: "TEXT", help: "instructions for the model", short: "s" },
  "max-tokens": { value: "N", help: "most tokens of the answer" },
  temperature: { value: "T", help: "randomness, 0 to 2" },
  json: { value: undefined, help: "print each event as a line of JSON" },
  verbose: { value: undefined, help: "tell target, tokens and cost at the end", short: "v" },
};

const schema = z.object({
  ...connectionShape,
  system: z.string().optional(),
  "max-tokens": z.coerce.number().int().min(1).optional(),
  temperature: z.coerce.number().min(0).max(2).optional(),
  json: z.boolean().default(false),
  verbose: z.boolean().default(false),
});

type ChatOptions = z.output<typeof schema>;

/** `weir chat`: one question, its answer as it comes. */
export const command: Command = {
  name: "chat",
  summary: "Ask a model and stream its answer to the terminal.",
  synopsis: "MODEL [TEXT…]   (without TEXT, standard input is the question)",
  options,
  run: (args, env) => {
    const { options: given, positionals } = readOptions(args, options, schema, env);
    const [model, ...words] = positionals;
    if (model === undefined) throw new UsageError("which model? `weir models` lists them");
    return withCaller("chat", given, async (client) => {
      const question = words.length > 0 ? words.join(" ") : await readStandardInput();
      if (question.trim() === "") throw new Failure("there is no question");
      return await ask(client, createChat(model, question, given), given);
    });
  },
};

function createChat(model: string, question: string, given: ChatOptions): ChatInit {
  const { temperature, "max-tokens": maxTokens } = given;
  return {
    model,
    messages: [...(given.system === undefined ? [] : [system(given.system)]), user(question)],
    sampling: {
      ...(temperature === undefined ? {} : { temperature }),
      ...(maxTokens === undefined ? {} : { maxTokens }),
    },
  };
}

async function ask(client: WeirClient, chat: ChatInit, given: ChatOptions): Promise<number> {
  const stop = new AbortController();
  const interrupt = (): void => stop.abort();
  process.once("SIGINT", interrupt);
  const paper = new Paper(given);
  try {
    for await (const event of client.chat.stream(chat, { signal: stop.signal })) paper.write(event);
    paper.end();
    return 0;
  } catch (error) {
    paper.end();
    if (!(error instanceof WeirError && stop.signal.aborted)) throw error;
    printNote("weir chat: cancelled");
    return 130;
  } finally {
    process.off("SIGINT", interrupt);
  }
}

/**
 * Where an answer is written: the text to standard output, everything about it to standard error.
 */
class Paper {
  readonly #options: Pick<ChatOptions, "json" | "verbose">;
  #midLine = false;

  constructor(options: Pick<ChatOptions, "json" | "verbose">) {
    this.#options = options;
  }

  write(event: ChatEvent): void {
    if (this.#options.json) {
      print(
        toJsonString(StreamChatResponseSchema, { $typeName: "weir.v1.StreamChatResponse", event }),
      );
      return;
    }
    switch (event.case) {
      case "textDelta":
      case "refusalDelta":
        if (event.value.choiceIndex === 0) this.#put(event.value.text);
        return;
      case "toolCallStarted":
        this.#put(`${this.#midLine ? "\n" : ""}→ ${event.value.name} `);
        return;
      case "toolCallArgumentsDelta":
        this.#put(event.value.arguments);
        return;
      case "toolCallDone":
        this.end();
        return;
      case "started":
        for (const warning of event.value.decision?.warnings ?? []) {
          printNote(`warning: ${toPrintable(warning)}`);
        }
        this.#tellStart(event.value);
        return;
      case "finished":
        this.end();
        this.#tellEnd(event.value);
        return;
      default:
    }
  }

  /** Leaves the cursor at the begin of a line. */
  end(): void {
    if (this.#midLine) process.stdout.write("\n");
    this.#midLine = false;
  }

  #put(text: string): void {
    if (text === "") return;
    process.stdout.write(process.stdout.isTTY ? toPrintable(text) : text);
    this.#midLine = !text.endsWith("\n");
  }

  #tellStart({ decision }: Extract<ChatEvent, { case: "started" }>["value"]): void {
    if (!this.#options.verbose || decision === undefined) return;
    const target =
      decision.provider === "" ? "" : ` at ${decision.provider} as ${decision.upstreamModel}`;
    printNote(toPrintable(`${decision.model}${target}, request ${decision.requestId}`));
  }

  #tellEnd({ finish, usage, cost }: Extract<ChatEvent, { case: "finished" }>["value"]): void {
    if (!this.#options.verbose) return;
    const input = (usage?.inputTokens ?? 0) + (usage?.cacheReadTokens ?? 0);
    const output = (usage?.outputTokens ?? 0) + (usage?.reasoningTokens ?? 0);
    const price = cost?.known === true ? formatCost(cost.costNanoUsd) : "cost unknown";
    printNote(
      toPrintable(`${input} + ${output} tokens, ${price}, ended by ${finish?.raw || "itself"}`),
    );
  }
}
