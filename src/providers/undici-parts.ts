import { createRequire } from "node:module";
import type { Agent, errors } from "undici";

/** What a proxy uses of undici. */
interface UndiciParts {
  readonly Agent: typeof Agent;
  readonly HTTPParserError: typeof errors.HTTPParserError;
}

const require = createRequire(import.meta.url);

/**
 * The package's own entrance loads its fetch, web sockets, caches and mocks too, which no proxy
 * uses: five megabytes. The version is exact, so these paths hold until it is raised.
 */
export const undici: UndiciParts = {
  Agent: require("undici/lib/dispatcher/agent.js"),
  HTTPParserError: require("undici/lib/core/errors.js").HTTPParserError,
};
