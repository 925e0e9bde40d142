import { readFileSync } from "node:fs";
import { z } from "zod";
import { createAdminClient, type WeirAdminClient } from "../client/admin.ts";
import { createWeirClient, type WeirClient } from "../client/index.ts";
import { reportFailure } from "./failure.ts";
import type { OptionSpecs } from "./read-options.ts";
import { UsageError } from "./usage-error.ts";

const DEFAULT_ADDRESS = "http://127.0.0.1:8080";

const common: OptionSpecs = {
  address: { value: "URL", help: `where Weir is; default ${DEFAULT_ADDRESS}`, env: "WEIR_ADDRESS" },
  ca: { value: "FILE", help: "certificate authority to trust, in PEM", env: "WEIR_CA" },
};

/** Options of commands that ask models. */
export const callerOptions: OptionSpecs = {
  ...common,
  key: { value: "KEY", help: "the key to use", env: ["WEIR_KEY", "WEIR_BOOTSTRAP_KEY"] },
};

/** Options of commands that administer. */
export const adminOptions: OptionSpecs = {
  ...common,
  key: {
    value: "KEY",
    help: "the key to use, for most an administrative one",
    env: ["WEIR_ADMIN_KEY", "WEIR_KEY"],
  },
};

/** Their part of a command's schema. */
export const connectionShape = {
  address: z.string().default(DEFAULT_ADDRESS).transform(readAddress),
  key: z.string().optional(),
  ca: z.string().min(1).optional(),
};

/** The option `-o` of commands that can print JSON too. */
export const outputOption: OptionSpecs = {
  output: { value: "FORMAT", help: "`table` for people (the default) or `json`", short: "o" },
};

export const outputShape = {
  output: z.enum(["table", "json"], "write table or json").default("table"),
};

/** How to reach Weir, read from a command line. */
export interface Connection {
  readonly address: string;
  readonly key?: string | undefined;
  readonly ca?: string | undefined;
}

/** Runs what needs an admin client; failures are printed. Resolves with the exit code. */
export function withAdmin(
  command: string,
  connection: Connection,
  run: (client: WeirAdminClient) => Promise<number>,
): Promise<number> {
  return withClient(command, connection, createAdminClient, run);
}

/** Runs what needs a client of models; failures are printed. Resolves with the exit code. */
export function withCaller(
  command: string,
  connection: Connection,
  run: (client: WeirClient) => Promise<number>,
): Promise<number> {
  return withClient(command, connection, createWeirClient, run);
}

interface ClientOptions {
  readonly address: string;
  readonly key: string;
  readonly tls: { readonly ca?: string };
}

function withClient<T extends { close(): void }>(
  command: string,
  { address, key, ca }: Connection,
  open: (options: ClientOptions) => T,
  run: (client: T) => Promise<number>,
): Promise<number> {
  if (key === undefined) {
    throw new UsageError(
      "which key? Set WEIR_KEY (or WEIR_ADMIN_KEY for what admins do), or give --key",
    );
  }
  if (!/^[\x21-\x7e]+$/.test(key)) throw new UsageError("--key: a key is wk_…, without blanks");
  return reportFailure(command, address, async () => {
    const tls = ca === undefined ? {} : { ca: readFileSync(ca, "utf8") };
    const client = open({ address, key, tls });
    try {
      return await run(client);
    } finally {
      client.close();
    }
  });
}

/** `HOST:PORT` alone means plain HTTP. */
function readAddress(text: string, context: z.RefinementCtx): string {
  const full = /^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `http://${text}`;
  if (URL.canParse(full) && /^https?:/.test(full)) return full.replace(/\/+$/, "");
  context.addIssue({ code: "custom", message: `"${text}" is no address: write http://HOST:PORT` });
  return z.NEVER;
}
