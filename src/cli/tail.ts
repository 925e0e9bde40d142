import { toJsonString } from "@bufbuild/protobuf";
import { z } from "zod";
import { RequestRecordSchema } from "../../gen/weir/admin/v1/record_pb.ts";
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
import { watch } from "./watch.ts";

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
    return withAdmin("tail", given, ({ usage }) => {
      const request = { filter: createFilter(given), backlog: given.backlog };
      return watch(
        (calling) => usage.tailRequests(request, calling),
        ({ record, skipped }) => {
          if (skipped > 0n) printNote(`(${skipped} requests went by too fast to show)`);
          if (record === undefined) return;
          print(
            given.output === "json"
              ? toJsonString(RequestRecordSchema, record)
              : formatRecordLine(record),
          );
        },
      );
    });
  },
};
