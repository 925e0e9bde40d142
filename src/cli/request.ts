import { toJson } from "@bufbuild/protobuf";
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
import { Failure } from "./failure.ts";
import { print, printJson } from "./output.ts";
import { type OptionSpecs, readOptions } from "./read-options.ts";
import { formatRecord } from "./record-lines.ts";
import { UsageError } from "./usage-error.ts";

const options: OptionSpecs = { ...adminOptions, ...outputOption };
const schema = z.object({ ...connectionShape, ...outputShape });

/** `weir request`: all that is kept of one request. */
export const command: Command = {
  name: "request",
  summary: "Show what became of one request: attempts, tokens, cost, times.",
  synopsis: "ID",
  options,
  run: (args, env) => {
    const { options: given, positionals } = readOptions(args, options, schema, env);
    const [requestId, ...rest] = positionals;
    if (requestId === undefined || rest.length > 0) {
      throw new UsageError("which request? Write its id, as `x-request-id` or `weir tail` tells");
    }
    return withAdmin("request", given, async ({ usage }) => {
      const { record } = await usage.getRequest({ requestId });
      if (record === undefined) throw new Failure(`Weir has no record of ${requestId}`);
      if (given.output === "json") printJson(toJson(RequestRecordSchema, record));
      else print(formatRecord(record));
      return 0;
    });
  },
};
