import { readFileSync } from "node:fs";
import { createSecureContext } from "node:tls";
import type { PortCertificate } from "../ingress/port.ts";
import type { OptionSpecs } from "./read-options.ts";
import { UsageError } from "./usage-error.ts";

/** The options of every command that may listen by TLS. */
export const certificateOptions: OptionSpecs = {
  "tls-cert": {
    value: "FILE",
    help: "certificate chain in PEM; the port then speaks TLS",
    env: "WEIR_TLS_CERT",
  },
  "tls-key": { value: "FILE", help: "private key in PEM", env: "WEIR_TLS_KEY" },
};

/**
 * Reads the files that the options name. Throws UsageError for half a pair, for files that
 * cannot be read, and for what is no pair.
 */
export function readCertificate(
  cert: string | undefined,
  key: string | undefined,
): PortCertificate | undefined {
  if (cert === undefined && key === undefined) return undefined;
  if (cert === undefined || key === undefined) {
    throw new UsageError("give both --tls-cert and --tls-key, or neither");
  }
  const pair = { cert: readPem("--tls-cert", cert), key: readPem("--tls-key", key) };
  try {
    createSecureContext(pair);
  } catch (error) {
    const fault = error instanceof Error ? error.message : String(error);
    throw new UsageError(`${cert} and ${key} are no certificate and its key, in PEM: ${fault}`);
  }
  return pair;
}

/** Reads a file in PEM that an option names. Throws UsageError when it cannot be read. */
export function readPem(option: string, path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new UsageError(`${option}: ${error instanceof Error ? error.message : String(error)}`);
  }
}
