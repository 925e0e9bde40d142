import { createServer } from "node:net";
import { join, resolve } from "node:path";
import { z } from "zod";
import { holdingClock } from "../mesh/clock.ts";
import { createLog, type Log } from "../telemetry/log.ts";
import { type Address, addressSchema, formatAddress } from "./address.ts";
import { certificateOptions, readCertificate } from "./certificate.ts";
import type { Command, Environment } from "./command.ts";
import { keepSecret } from "./kept-secret.ts";
import { type OptionSpecs, readOptions } from "./read-options.ts";
import { Supervised } from "./supervise.ts";
import { onTermination } from "./termination.ts";

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
  ...certificateOptions,
};

const schema = z.object({
  listen: addressSchema.default({ host: "127.0.0.1", port: 8080 }),
  "data-dir": z.string().min(1).default(".weir"),
  workers: z.coerce.number().int().min(1).max(256).default(1),
  "control-listen": addressSchema.optional(),
  "link-token": z.string().min(32, "write at least 32 characters").optional(),
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
    const listen = await fixPort(given.listen);
    const control = await fixPort(given["control-listen"] ?? { host: "127.0.0.1", port: 0 });
    // The proxies' snapshots are sealed by the token, so it must be the same after a restart.
    const token = given["link-token"] ?? keepSecret(join(given["data-dir"], "link.token"));
    const plan = { given, listen, control, log, env: createChildEnvironment(env, token) };
    const controlProcess = startControl(plan);
    const proxies: Supervised[] = [];
    const announce = announceOnce(listen, given["tls-cert"] !== undefined);
    for (let index = 0; index < given.workers; index++) {
      proxies.push(startProxy(plan, index, announce));
    }
    return await onTermination({
      drain: async () => {
        await Promise.all(proxies.map((proxy) => proxy.stop()));
        await controlProcess.stop();
      },
      abandon: () => {
        for (const each of [...proxies, controlProcess]) each.kill();
      },
    });
  },
};

/**
 * Children get their certificates by flags; the link between them stays in clear, on this machine.
 */
function createChildEnvironment(env: Environment, token: string): Environment {
  return {
    ...env,
    WEIR_LINK_TOKEN: token,
    WEIR_TLS_CERT: undefined,
    WEIR_TLS_KEY: undefined,
    WEIR_CONTROL_CA: undefined,
  };
}

interface ServePlan {
  readonly given: ServeOptions;
  readonly listen: Address;
  readonly control: Address;
  readonly env: Environment;
  readonly log: Log;
}

const script = join(import.meta.dirname, "..", "main.ts");

function startControl({ given, listen, control, env, log }: ServePlan): Supervised {
  const args = [
    ...["control", "--listen", formatAddress(control)],
    ...["--data-dir", resolve(given["data-dir"])],
    ...["--front", formatAddress(listen)],
    ...(given["tls-cert"] === undefined ? [] : ["--front-tls"]),
  ];
  return new Supervised({ name: "control", args: [script, ...args], env }, holdingClock, log);
}

function startProxy(
  { given, listen, control, env, log }: ServePlan,
  index: number,
  announce: () => void,
): Supervised {
  const directory = join(resolve(given["data-dir"]), "proxies", String(index));
  const args = [
    ...["proxy", "--listen", formatAddress(listen), "--share-port"],
    ...["--control", formatAddress(control)],
    ...["--data-dir", directory],
    ...["--proxy-id", `local-${index}`],
    ...(index === 0 ? ["--adopt-beyond", String(given.workers)] : []),
    ...(given["tls-cert"] === undefined ? [] : ["--tls-cert", given["tls-cert"]]),
    ...(given["tls-key"] === undefined ? [] : ["--tls-key", given["tls-key"]]),
  ];
  return new Supervised(
    { name: `proxy-${index}`, args: [script, ...args], env, onMessage: announce },
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
 * all of them.
 */
function fixPort(address: Address): Promise<Address> {
  if (address.port !== 0) return Promise.resolve(address);
  return new Promise((resolvePort, reject) => {
    const probe = createServer();
    probe.once("error", reject);
    probe.listen(0, address.host, () => {
      const bound = probe.address();
      const port = typeof bound === "object" && bound !== null ? bound.port : 0;
      probe.close(() => resolvePort({ host: address.host, port }));
    });
  });
}
