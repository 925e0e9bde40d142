import { toJsonString } from "@bufbuild/protobuf";
import { z } from "zod";
import { RequestRecordSchema } from "../../gen/weir/admin/v1/record_pb.ts";
import { asWeirError } from "../client/admin.ts";
import type { Command } from "./command.ts";
import {
  adminOptions,
  connectionShape,
  outputOption,
  outputShape,
  withAdmin,
} from "./connection.ts";
import { print, printNote } from "./output.ts";
import { type OptionSpecs, readOptions } from "./read-options.ts";
import { createFilter, filterOptions, filterShape } from "./record-filter.ts";
import { formatRecordLine } from "./record-lines.ts";

/** Longer than anybody watches; without it the client's deadline would end the stream. */
const WATCH_MS = 24 * 3_600_000;

const options: OptionSpecs = {
  ...adminOptions,
  ...outputOption,
  backlog: { value: "N", help: "past requests to begin with, 0 to 1000; default 10", short: "n" },
  ...filterOptions,
};

const schema = z.object({
  ...connectionShape,
  ...outputShape,
  ...filterShape,
  backlog: z.coerce.number().int().min(0).max(1000).default(10),
});

/** `weir tail`: requests as they end, one line each, until Ctrl-C. */
export const command: Command = {
  name: "tail",
  summary: "Follow requests as they end, one line each.",
  synopsis: "[OPTION…]",
  options,
  run: (args, env) => {
    const { options: given } = readOptions(args, options, schema, env);
    return withAdmin("tail", given, async ({ usage }) => {
      const stop = new AbortController();
      const interrupt = (): void => stop.abort();
      process.once("SIGINT", interrupt);
      process.once("SIGTERM", interrupt);
      const calling = { signal: stop.signal, timeoutMs: WATCH_MS };
      const request = { filter: createFilter(given), backlog: given.backlog };
      try {
        for await (const { record, skipped } of usage.tailRequests(request, calling)) {
          if (skipped > 0n) printNote(`(${skipped} requests went by too fast to show)`);
          if (record === undefined) continue;
          print(
            given.output === "json"
              ? toJsonString(RequestRecordSchema, record)
              : formatRecordLine(record),
          );
        }
        throw new Error("Weir ended the stream; run it again");
      } catch (error) {
        if (stop.signal.aborted && asWeirError(error).code === 1) return 0;
        throw error;
      } finally {
        process.off("SIGINT", interrupt);
        process.off("SIGTERM", interrupt);
      }
    });
  },
};
