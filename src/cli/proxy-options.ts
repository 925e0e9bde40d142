import { hostname } from "node:os";
import { type Address, parseAddress } from "./address.ts";
import { certificateOptions } from "./certificate.ts";
import type { Environment } from "./command.ts";
import { CONNECTIONS_CAP, maxConnectionsOption } from "./max-connections.ts";
import { metricsOpenOption } from "./metrics-open.ts";
import { gatherOptions, type OptionSpecs } from "./read-options.ts";
import { UsageError } from "./usage-error.ts";

/** What the line of `weir proxy` says. */
export interface ProxyOptions {
  readonly control: readonly Address[];
  readonly listen: Address;
  readonly dataDir: string;
  readonly linkToken: string;
  readonly proxyId: string;
  readonly tlsCert: string | undefined;
  readonly tlsKey: string | undefined;
  readonly controlCa: string | undefined;
  readonly corsOrigins: readonly string[];
  readonly metricsOpen: boolean;
  readonly maxConnections: number | undefined;
  readonly sharePort: boolean;
  readonly adoptBeyond: number | undefined;
}

const TOKEN_LENGTH_MIN = 32;
const ID_LENGTH_MAX = 128;

export const proxyOptionSpecs: OptionSpecs = {
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

/**
 * Reads flags and environment. By hand, since zod takes six megabytes, which every proxy would keep
 * for as long as it runs. Throws UsageError naming the option.
 */
export function readProxyOptions(args: readonly string[], env: Environment): ProxyOptions {
  const { options: given } = gatherOptions(args, proxyOptionSpecs, env);
  const text = (name: string) => checkLength(name, given[name]);
  const whole = (name: string, min: number, max: number) => {
    const value = text(name);
    return value === undefined ? undefined : parseWhole(name, value, min, max);
  };
  return {
    control: demand("control", text("control"))
      .split(",")
      .map((each) => parseNamed("control", each)),
    listen: parseNamed("listen", text("listen") ?? "127.0.0.1:8080"),
    dataDir: text("data-dir") ?? ".weir-proxy",
    linkToken: demand(
      "link-token",
      checkLength("link-token", given["link-token"], TOKEN_LENGTH_MIN),
    ),
    proxyId: checkLength("proxy-id", given["proxy-id"], 0, ID_LENGTH_MAX) ?? hostname(),
    tlsCert: text("tls-cert"),
    tlsKey: text("tls-key"),
    controlCa: text("control-ca"),
    corsOrigins: listTexts(given["cors-origin"]),
    metricsOpen: readSwitch("metrics-open", given["metrics-open"]),
    maxConnections: whole("max-connections", 1, CONNECTIONS_CAP),
    sharePort: readSwitch("share-port", given["share-port"]),
    adoptBeyond: whole("adopt-beyond", 0, Number.MAX_SAFE_INTEGER),
  };
}

function demand(name: string, value: string | undefined): string {
  if (value === undefined) throw new UsageError(`--${name} is required`);
  return value;
}

function checkLength(
  name: string,
  value: unknown,
  min = 0,
  max = Number.POSITIVE_INFINITY,
): string | undefined {
  if (value === undefined) return undefined;
  const text = String(value);
  if (text === "") throw wrong(name, "is empty");
  if (text.length < min) throw wrong(name, `write at least ${min} characters`);
  if (text.length > max) throw wrong(name, `write at most ${max} characters`);
  return text;
}

function parseNamed(name: string, text: string): Address {
  try {
    return parseAddress(text);
  } catch (error) {
    throw wrong(name, error instanceof Error ? error.message : String(error));
  }
}

function parseWhole(name: string, text: string, min: number, max: number): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= min && value <= max) return value;
  throw wrong(name, `write a whole number from ${min} to ${max}`);
}

/** A switch of the line is true; a variable says it in a word. */
function readSwitch(name: string, value: unknown): boolean {
  if (value === undefined || value === "false") return false;
  if (value === true || value === "true") return true;
  throw wrong(name, "write true or false");
}

function listTexts(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.map(String) : [];
}

function wrong(name: string, why: string): UsageError {
  return new UsageError(`--${name}: ${why}`);
}
