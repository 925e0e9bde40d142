import { toJson } from "@bufbuild/protobuf";
import { z } from "zod";
import { EmbedResponseSchema } from "../../gen/weir/v1/embed_service_pb.ts";
import type { Command } from "./command.ts";
import {
  callerOptions,
  connectionShape,
  outputOption,
  outputShape,
  withCaller,
} from "./connection.ts";
import { print, printJson } from "./output.ts";
import { type OptionSpecs, readOptions } from "./read-options.ts";
import { readStandardInput } from "./standard-input.ts";
import { formatTable } from "./table.ts";
import { UsageError } from "./usage-error.ts";

const VALUES_SHOWN = 6;
const CHARACTERS_SHOWN = 40;

const options: OptionSpecs = {
  ...callerOptions,
  ...outputOption,
  dimensions: { value: "N", help: "length of the vectors; default: the model's own" },
};

const schema = z.object({
  ...connectionShape,
  ...outputShape,
  dimensions: z.coerce.number().int().min(1).optional(),
});

/** `weir embed`: texts to vectors. */
export const command: Command = {
  name: "embed",
  summary: "Turn texts into vectors.",
  synopsis: "MODEL [TEXT…]   (without TEXT, each line of standard input is one)",
  options,
  run: (args, env) => {
    const { options: given, positionals } = readOptions(args, options, schema, env);
    const [model, ...words] = positionals;
    if (model === undefined) throw new UsageError("which model? `weir models` lists them");
    return withCaller("embed", given, async (client) => {
      const texts = words.length > 0 ? words : splitLines(await readStandardInput());
      if (texts.length === 0) throw new UsageError("there is nothing to embed");
      const { dimensions } = given;
      const answer = await client.embed({
        model,
        inputs: texts.map((text) => ({ input: { case: "text" as const, value: text } })),
        ...(dimensions === undefined ? {} : { dimensions }),
      });
      if (given.output === "json") {
        printJson(toJson(EmbedResponseSchema, answer));
        return 0;
      }
      const rows = answer.embeddings.map(({ index, values }) => [
        shorten(texts[index] ?? "?"),
        String(values.length),
        `${values
          .slice(0, VALUES_SHOWN)
          .map((value) => value.toFixed(4))
          .join(" ")}${values.length > VALUES_SHOWN ? " …" : ""}`,
      ]);
      const columns = [{ title: "TEXT" }, { title: "LENGTH", right: true }, { title: "VECTOR" }];
      print(formatTable(columns, rows));
      return 0;
    });
  },
};

function splitLines(text: string): string[] {
  return text.split(/\r?\n/).filter((line) => line.trim() !== "");
}

function shorten(text: string): string {
  const characters = [...text];
  if (characters.length <= CHARACTERS_SHOWN) return text;
  return `${characters.slice(0, CHARACTERS_SHOWN - 1).join("")}…`;
}
