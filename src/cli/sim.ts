import { z } from "zod";
import { systemClock } from "../mesh/clock.ts";
import { startSimServer } from "../sim/server.ts";
import type { Command } from "./command.ts";
import { type OptionSpecs, readOptions } from "./read-options.ts";
import { begin } from "./start-fault.ts";
import { onTermination } from "./termination.ts";

const options: OptionSpecs = {
  port: { value: "PORT", help: "where to listen; default 8090", short: "p" },
  host: { value: "HOST", help: "address to listen at; default 127.0.0.1" },
};

const schema = z.object({
  port: z.coerce.number().int().min(0).max(65_535).default(8090),
  host: z.string().min(1).default("127.0.0.1"),
});

/** `weir sim`: an upstream for tests that answers the same each time, and fails on demand. */
export const command: Command = {
  name: "sim",
  summary: "Serve the simulated engine over HTTP, in the dialects of OpenAI and Anthropic.",
  synopsis: "[--port PORT]",
  options,
  run: async (args, env) => {
    const { options: given } = readOptions(args, options, schema, env);
    const server = await begin(given, () => startSimServer({ ...given, clock: systemClock }));
    process.stdout.write(`simulated engine at http://${given.host}:${server.port}/v1\n`);
    return await onTermination({
      drain: () => server.close(),
      abandon: () => {},
    });
  },
};
