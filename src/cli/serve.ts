import { mkdirSync } from "node:fs";
import { createServer } from "node:net";
import { join, resolve } from "node:path";
import { z } from "zod";
import { type DirectoryLock, lockDirectory } from "../link/directory-lock.ts";
import { holdingClock } from "../mesh/clock.ts";
import { createLog, type Log } from "../telemetry/log.ts";
import { type Address, formatAddress } from "./address.ts";
import { addressSchema } from "./address-schema.ts";
import { certificateOptions, readCertificate } from "./certificate.ts";
import { withMemorySettings } from "./child-memory.js";
import type { Command, Environment } from "./command.ts";
import { databaseUrlOption, databaseUrlSchema } from "./database-url.ts";
import { keepSecret } from "./kept-secret.ts";
import { CONNECTIONS_CAP, maxConnectionsOption } from "./max-connections.ts";
import { metricsOpenOption } from "./metrics-open.ts";
import { metricsOpenSchema } from "./metrics-open-schema.ts";
import { type OptionSpecs, readOptions } from "./read-options.ts";
import { retainDaysOption, retainDaysSchema } from "./retain-days.ts";
import { begin } from "./start-fault.ts";
import { REFUSED_CODE, Supervised } from "./supervise.ts";
import { onTermination } from "./termination.ts";
import { UsageError } from "./usage-error.ts";

const options: OptionSpecs = {
  listen: {
    value: "HOST:PORT",
    help: "where clients call; default 127.0.0.1:8080",
    env: "WEIR_LISTEN",
  },
  "data-dir": {
    value: "DIR",
    help: "where everything is kept; default .weir",
    env: "WEIR_DATA_DIR",
  },
  "database-url": databaseUrlOption,
  "retain-days": retainDaysOption,
  workers: {
    value: "N",
    help: "proxy processes that share the port; default 1",
    env: "WEIR_WORKERS",
  },
  "control-listen": {
    value: "HOST:PORT",
    help: "where the control process listens for proxies of other machines; default: this machine only",
    env: "WEIR_CONTROL_LISTEN",
  },
  "link-token": {
    value: "TOKEN",
    help: "credential of the link; default: a new one",
    env: "WEIR_LINK_TOKEN",
  },
  "metrics-open": metricsOpenOption,
  "max-connections": maxConnectionsOption,
  ...certificateOptions,
};

const schema = z.object({
  listen: addressSchema.default({ host: "127.0.0.1", port: 8080 }),
  "data-dir": z.string().min(1).default(".weir"),
  "database-url": databaseUrlSchema.optional(),
  "retain-days": retainDaysSchema.optional(),
  workers: z.coerce.number().int().min(1).max(256).default(1),
  "control-listen": addressSchema.optional(),
  "link-token": z.string().min(32, "write at least 32 characters").optional(),
  "metrics-open": metricsOpenSchema,
  "max-connections": z.coerce.number().int().min(1).max(CONNECTIONS_CAP).optional(),
  "tls-cert": z.string().optional(),
  "tls-key": z.string().optional(),
});

type ServeOptions = z.output<typeof schema>;

/**
 * `weir serve`: a control process and N proxy processes on one machine, joined by the same link as
 * on fifty.
 */
export const command: Command = {
  name: "serve",
  summary: "Serve everything on one machine: a control process and N proxies that share the port.",
  synopsis: "[OPTION…]",
  options,
  run: async (args, env) => {
    const given = readOptions(args, options, schema, env).options;
    // Read here once, so that a mistake is told by this command and not by its children.
    readCertificate(given["tls-cert"], given["tls-key"]);
    const log = createLog("serve", env.WEIR_LOG_LEVEL ?? "info");
    const listen = await begin(given.listen, () => findPort(given.listen));
    const wanted = given["control-listen"] ?? { host: "127.0.0.1", port: 0 };
    const control = await begin(wanted, () => findPort(wanted));
    const lock = await lockDataDir(given["data-dir"]);
    try {
      // The proxies' snapshots are sealed by the token, so it must be the same after a restart.
      const token = given["link-token"] ?? keepSecret(join(given["data-dir"], "link.token"));
      const childEnv = createChildEnvironment(env, token, given["data-dir"]);
      return await superviseAll({ given, listen, control, log, env: childEnv });
    } finally {
      await lock.release();
    }
  },
};

/**
 * Children get their certificates by flags; the link between them stays in clear, on this machine.
 * The way to the database is for the control process alone. What one child has compiled the next
 * need not: without that each of them keeps some 25 MB that the compiler took. The cache is keyed
 * by Node's version and by the sources, and lies where nobody else may write; where even Weir may
 * not, Node does without.
 */
function createChildEnvironment(env: Environment, token: string, dataDir: string): Environment {
  return {
    ...withMemorySettings(env),
    NODE_COMPILE_CACHE: env.NODE_COMPILE_CACHE ?? join(resolve(dataDir), "compile-cache"),
    WEIR_LINK_TOKEN: token,
    WEIR_TLS_CERT: undefined,
    WEIR_TLS_KEY: undefined,
    WEIR_CONTROL_CA: undefined,
    WEIR_DATABASE_URL: undefined,
  };
}

interface ServePlan {
  readonly given: ServeOptions;
  readonly listen: Address;
  readonly control: Address;
  readonly env: Environment;
  readonly log: Log;
}

/** Starts all processes and keeps them running. Resolves with the exit code, when all are gone. */
async function superviseAll(plan: ServePlan): Promise<number> {
  const { promise: refused, resolve: refuse } = Promise.withResolvers<void>();
  const hooks = {
    announce: announceOnce(plan.listen, plan.given["tls-cert"] !== undefined),
    refuse: () => refuse(),
  };
  const control = startControl(plan, hooks);
  const proxies = Array.from({ length: plan.given.workers }, (_, index) =>
    startProxy(plan, index, hooks),
  );
  const drain = async () => {
    await Promise.all(proxies.map((proxy) => proxy.stop()));
    await control.stop();
  };
  const abandon = () => {
    for (const each of [...proxies, control]) each.kill();
  };
  return await Promise.race([
    onTermination({ drain, abandon }),
    refused.then(drain).then(() => REFUSED_CODE),
  ]);
}

/** What children tell of themselves. */
interface Hooks {
  /** One serves. */
  announce(): void;
  /** One cannot start, and has said why. */
  refuse(): void;
}

const script = join(import.meta.dirname, "..", "main.ts");

function startControl({ given, listen, control, env, log }: ServePlan, hooks: Hooks): Supervised {
  const args = [
    ...["control", "--listen", formatAddress(control)],
    ...["--data-dir", resolve(given["data-dir"])],
    ...["--front", formatAddress(listen)],
    ...(given["tls-cert"] === undefined ? [] : ["--front-tls"]),
    ...(given["metrics-open"] ? ["--metrics-open"] : []),
  ];
  return new Supervised(
    {
      name: "control",
      args: [script, ...args],
      // Not by a flag: everybody on this machine may read those.
      env: {
        ...env,
        WEIR_DATABASE_URL: given["database-url"],
        WEIR_RETAIN_DAYS: given["retain-days"]?.toString(),
      },
      onRefusal: hooks.refuse,
    },
    holdingClock,
    log,
  );
}

function startProxy(
  { given, listen, control, env, log }: ServePlan,
  index: number,
  hooks: Hooks,
): Supervised {
  const directory = join(resolve(given["data-dir"]), "proxies", String(index));
  const args = [
    ...["proxy", "--listen", formatAddress(listen), "--share-port"],
    ...["--control", formatAddress(control)],
    ...["--data-dir", directory],
    ...["--proxy-id", `local-${index}`],
    ...(index === 0 ? ["--adopt-beyond", String(given.workers)] : []),
    ...(given["metrics-open"] ? ["--metrics-open"] : []),
    ...(given["max-connections"] === undefined
      ? []
      : ["--max-connections", String(given["max-connections"])]),
    ...(given["tls-cert"] === undefined ? [] : ["--tls-cert", given["tls-cert"]]),
    ...(given["tls-key"] === undefined ? [] : ["--tls-key", given["tls-key"]]),
  ];
  return new Supervised(
    {
      name: `proxy-${index}`,
      args: [script, ...args],
      env,
      onMessage: hooks.announce,
      onRefusal: hooks.refuse,
    },
    holdingClock,
    log,
  );
}

/** The first proxy that serves says so for all; a restarted one says nothing. */
function announceOnce(listen: Address, tls: boolean): () => void {
  let announced = false;
  return () => {
    if (announced) return;
    announced = true;
    process.stdout.write(`Weir listens at http${tls ? "s" : ""}://${formatAddress(listen)}\n`);
  };
}

/**
 * Several processes will listen here, and again after a restart: a free port is chosen once, for
 * all of them. A port that somebody else shares is refused, since the kernel would lead a part of
 * the connections there. Rejects with the system's error.
 */
function findPort(address: Address): Promise<Address> {
  return new Promise((resolvePort, reject) => {
    const probe = createServer();
    probe.once("error", reject);
    probe.listen({ ...address, exclusive: true }, () => {
      const bound = probe.address();
      const port = typeof bound === "object" && bound !== null ? bound.port : address.port;
      probe.close(() => resolvePort({ host: address.host, port }));
    });
  });
}

/** Two of them in one data directory would each know of half of what happens. */
async function lockDataDir(dataDir: string): Promise<DirectoryLock> {
  try {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
    return await lockDirectory(resolve(dataDir));
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}
