import { flushCompileCache } from "node:module";
import { join, resolve } from "node:path";
import { z } from "zod";
import { createFirstRunMessage } from "../control/first-run-message.ts";
import { systemClock } from "../mesh/clock.ts";
import { findLocalEngines } from "../providers/find-local-engines.ts";
import { createLog } from "../telemetry/log.ts";
import { formatAddress, isLoopback, reachableAddress } from "./address.ts";
import { addressSchema } from "./address-schema.ts";
import { certificateOptions, readCertificate } from "./certificate.ts";
import type { Command } from "./command.ts";
import { startControl } from "./compose-control.ts";
import { databaseUrlOption, databaseUrlSchema } from "./database-url.ts";
import { keepSecret } from "./kept-secret.ts";
import { metricsOpenOption } from "./metrics-open.ts";
import { metricsOpenSchema } from "./metrics-open-schema.ts";
import { type OptionSpecs, readOptions } from "./read-options.ts";
import { retainDaysOption, retainDaysSchema } from "./retain-days.ts";
import { begin } from "./start-fault.ts";
import { onTermination } from "./termination.ts";
import { UsageError } from "./usage-error.ts";

const options: OptionSpecs = {
  listen: {
    value: "HOST:PORT",
    help: "where proxies and Admin clients call; default 127.0.0.1:8079",
    env: "WEIR_CONTROL_LISTEN",
  },
  "data-dir": {
    value: "DIR",
    help: "where everything is kept; default .weir",
    env: "WEIR_DATA_DIR",
  },
  "database-url": databaseUrlOption,
  "retain-days": retainDaysOption,
  "link-token": {
    value: "TOKEN",
    help: "credential that proxies must show; required beyond this machine",
    env: "WEIR_LINK_TOKEN",
  },
  "metrics-open": metricsOpenOption,
  ...certificateOptions,
  front: { value: "HOST:PORT", help: "where clients call, for the message of the first start" },
  "front-tls": { value: undefined, help: "clients call by TLS" },
};

const schema = z.object({
  listen: addressSchema.default({ host: "127.0.0.1", port: 8079 }),
  "data-dir": z.string().min(1).default(".weir"),
  "database-url": databaseUrlSchema.optional(),
  "retain-days": retainDaysSchema.optional(),
  "link-token": z.string().min(32, "write at least 32 characters").optional(),
  "metrics-open": metricsOpenSchema,
  "tls-cert": z.string().optional(),
  "tls-key": z.string().optional(),
  front: addressSchema.optional(),
  "front-tls": z.boolean().default(false),
});

/** `weir control`: the control plane alone. */
export const command: Command = {
  name: "control",
  summary:
    "Serve the control plane: Admin and usage services, the ledger, and the link for proxies.",
  synopsis: "[OPTION…]",
  options,
  run: async (args, env) => {
    const { options: given } = readOptions(args, options, schema, env);
    const dataDir = resolve(given["data-dir"]);
    if (!isLoopback(given.listen) && given["link-token"] === undefined) {
      throw new UsageError(
        "listening beyond this machine needs a credential for the link: give --link-token or " +
          "WEIR_LINK_TOKEN, at least 32 characters, the same to every proxy",
      );
    }
    const log = createLog("control", env.WEIR_LOG_LEVEL ?? "info");
    const front = reachableAddress(given.front ?? given.listen);
    const control = await begin(given.listen, async () =>
      startControl({
        listen: given.listen,
        tls: readCertificate(given["tls-cert"], given["tls-key"]),
        dataDir,
        databaseUrl: given["database-url"],
        retainDays: given["retain-days"],
        token: given["link-token"] ?? keepSecret(join(dataDir, "link.token")),
        metricsOpen: given["metrics-open"],
        findEngines: () => findLocalEngines({ clock: systemClock, ownPorts: [front.port] }),
        clock: systemClock,
        env,
        log,
      }),
    );
    if (control.report.keys === undefined) {
      for (const note of control.report.notes) log.warn({}, note);
    }
    const doors = { address: formatAddress(front), tls: given["front-tls"] };
    for (const line of createFirstRunMessage(control.report, doors)) {
      process.stdout.write(`${line}\n`);
    }
    log.info(
      { listen: formatAddress({ ...given.listen, port: control.port.port }) },
      "controlling",
    );
    // What the next start loads is known by now; a process that is killed later writes nothing.
    flushCompileCache();
    return await onTermination({
      drain: () => control.stop(),
      abandon: () => control.port.close(),
      outlastsSiblings: true,
    });
  },
};
