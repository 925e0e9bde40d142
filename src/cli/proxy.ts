import { flushCompileCache } from "node:module";
import { resolve } from "node:path";
import { systemClock } from "../mesh/clock.ts";
import { createLog } from "../telemetry/log.ts";
import { type Address, formatAddress } from "./address.ts";
import { readCertificate, readPem } from "./certificate.ts";
import type { Command } from "./command.ts";
import { startProxy } from "./compose-proxy.ts";
import { defaultMaxConnections, readDescriptorLimit } from "./max-connections.ts";
import { proxyOptionSpecs, readProxyOptions } from "./proxy-options.ts";
import { settleHeap } from "./settle-heap.ts";
import { begin } from "./start-fault.ts";
import { onTermination } from "./termination.ts";

const DRAIN_MS = 30_000;

/** `weir proxy`: the data plane alone, joined to control processes elsewhere. */
export const command: Command = {
  name: "proxy",
  summary: "Serve requests, by the policy of control processes elsewhere.",
  synopsis: "--control HOST:PORT[,…] --link-token TOKEN [OPTION…]",
  options: proxyOptionSpecs,
  run: async (args, env) => {
    const given = readProxyOptions(args, env);
    const log = createLog(`proxy ${given.proxyId}`, env.WEIR_LOG_LEVEL ?? "info");
    const proxy = await begin(given.listen, async () =>
      startProxy({
        listen: given.listen,
        sharePort: given.sharePort,
        tls: readCertificate(given.tlsCert, given.tlsKey),
        control: given.control,
        controlCa:
          given.controlCa === undefined ? undefined : readPem("--control-ca", given.controlCa),
        token: given.linkToken,
        dataDir: resolve(given.dataDir),
        proxyId: given.proxyId,
        adoptBeyond: given.adoptBeyond,
        corsOrigins: given.corsOrigins,
        metricsOpen: given.metricsOpen,
        maxConnections: given.maxConnections ?? defaultMaxConnections(readDescriptorLimit()),
        clock: systemClock,
        env,
        log,
      }),
    );
    const address: Address = { host: given.listen.host, port: proxy.port.port };
    log.info({ listen: formatAddress(address) }, "serving");
    // A process that is killed later keeps no cache, and the next start would compile all anew.
    flushCompileCache();
    settleHeap();
    process.send?.({ serving: formatAddress(address) });
    return await onTermination({
      drain: () => proxy.stop(DRAIN_MS),
      abandon: () => proxy.port.close(),
    });
  },
};
