import { flushCompileCache } from "node:module";
import { hostname } from "node:os";
import { resolve } from "node:path";
import { z } from "zod";
import { systemClock } from "../mesh/clock.ts";
import { createLog } from "../telemetry/log.ts";
import { type Address, addressSchema, formatAddress } from "./address.ts";
import { certificateOptions, readCertificate, readPem } from "./certificate.ts";
import type { Command } from "./command.ts";
import { startProxy } from "./compose-proxy.ts";
import {
  defaultMaxConnections,
  maxConnectionsOption,
  maxConnectionsSchema,
  readDescriptorLimit,
} from "./max-connections.ts";
import { metricsOpenOption, metricsOpenSchema } from "./metrics-open.ts";
import { type OptionSpecs, readOptions } from "./read-options.ts";
import { begin } from "./start-fault.ts";
import { onTermination } from "./termination.ts";

const DRAIN_MS = 30_000;

const options: OptionSpecs = {
  control: {
    value: "HOST:PORT[,…]",
    help: "where control processes listen; required",
    env: "WEIR_CONTROL",
  },
  listen: {
    value: "HOST:PORT",
    help: "where clients call; default 127.0.0.1:8080",
    env: "WEIR_LISTEN",
  },
  "data-dir": {
    value: "DIR",
    help: "where journal and snapshot are kept; default .weir-proxy",
    env: "WEIR_DATA_DIR",
  },
  "link-token": {
    value: "TOKEN",
    help: "credential of the link; required",
    env: "WEIR_LINK_TOKEN",
  },
  "proxy-id": {
    value: "NAME",
    help: "its name, the same after a restart; default: the host's",
    env: "WEIR_PROXY_ID",
  },
  ...certificateOptions,
  "control-ca": {
    value: "FILE",
    help: "certificate authority of control processes in PEM; the link then speaks TLS",
    env: "WEIR_CONTROL_CA",
  },
  "cors-origin": {
    value: "ORIGIN",
    help: "origin whose scripts may call RPCs from a browser; may be given several times",
    multiple: true,
  },
  "metrics-open": metricsOpenOption,
  "max-connections": maxConnectionsOption,
  "share-port": { value: undefined, help: "several proxies of this machine share the port" },
  "adopt-beyond": {
    value: "N",
    help: "take over journals and watermarks of sibling directories numbered from N on",
  },
};

const addressListSchema = z
  .string()
  .transform((text) => text.split(","))
  .pipe(z.array(addressSchema).min(1));

const schema = z.object({
  control: addressListSchema,
  listen: addressSchema.default({ host: "127.0.0.1", port: 8080 }),
  "data-dir": z.string().min(1).default(".weir-proxy"),
  "link-token": z.string().min(32, "write at least 32 characters"),
  "proxy-id": z.string().min(1).max(128).default(hostname()),
  "tls-cert": z.string().optional(),
  "tls-key": z.string().optional(),
  "control-ca": z.string().optional(),
  "cors-origin": z.array(z.string()).default([]),
  "metrics-open": metricsOpenSchema,
  "max-connections": maxConnectionsSchema.optional(),
  "share-port": z.boolean().default(false),
  "adopt-beyond": z.coerce.number().int().min(0).optional(),
});

/** `weir proxy`: the data plane alone, joined to control processes elsewhere. */
export const command: Command = {
  name: "proxy",
  summary: "Serve requests, by the policy of control processes elsewhere.",
  synopsis: "--control HOST:PORT[,…] --link-token TOKEN [OPTION…]",
  options,
  run: async (args, env) => {
    const { options: given } = readOptions(args, options, schema, env);
    const log = createLog(`proxy ${given["proxy-id"]}`, env.WEIR_LOG_LEVEL ?? "info");
    const proxy = await begin(given.listen, async () =>
      startProxy({
        listen: given.listen,
        sharePort: given["share-port"],
        tls: readCertificate(given["tls-cert"], given["tls-key"]),
        control: given.control,
        controlCa:
          given["control-ca"] === undefined
            ? undefined
            : readPem("--control-ca", given["control-ca"]),
        token: given["link-token"],
        dataDir: resolve(given["data-dir"]),
        proxyId: given["proxy-id"],
        adoptBeyond: given["adopt-beyond"],
        corsOrigins: given["cors-origin"],
        metricsOpen: given["metrics-open"],
        maxConnections: given["max-connections"] ?? defaultMaxConnections(readDescriptorLimit()),
        clock: systemClock,
        env,
        log,
      }),
    );
    const address: Address = { host: given.listen.host, port: proxy.port.port };
    log.info({ listen: formatAddress(address) }, "serving");
    // A process that is killed later keeps no cache, and the next start would compile all anew.
    flushCompileCache();
    process.send?.({ serving: formatAddress(address) });
    return await onTermination({
      drain: () => proxy.stop(DRAIN_MS),
      abandon: () => proxy.port.close(),
    });
  },
};
