import { MeshError } from "../mesh/errors.ts";
import { undici } from "./undici-parts.ts";

/** Codes of faults that happen before an upstream has seen a byte of the request. */
const UNREACHED = new Set([
  "EAI_AGAIN",
  "ECONNREFUSED",
  "EHOSTDOWN",
  "EHOSTUNREACH",
  "ENETDOWN",
  "ENETUNREACH",
  "ENOTFOUND",
  "EADDRNOTAVAIL",
  "EMFILE",
  "UND_ERR_CONNECT_TIMEOUT",
]);

/**
 * A fault of the connection as an error of the attempt. `origin` and the fault's own words stay
 * inside: callers are not told where Weir calls.
 */
export function mapConnectionFault(fault: unknown, origin: string): MeshError {
  const code = findCode(fault);
  const details = { cause: fault, internal: `${origin}: ${describe(fault, code)}` };
  if (fault instanceof undici.HTTPParserError || code === "UND_ERR_HEADERS_OVERFLOW") {
    return new MeshError(
      "UPSTREAM_GARBLED",
      "The upstream's answer is not HTTP. Tell whoever runs Weir.",
      details,
    );
  }
  if (code === "UND_ERR_INVALID_ARG") {
    const message = "The request to the upstream could not be written. Tell whoever runs Weir.";
    return new MeshError("UPSTREAM_FAILED", message, details);
  }
  if (UNREACHED.has(code) || isTlsCode(code)) {
    return new MeshError(
      "UPSTREAM_FAILED",
      "The upstream could not be reached. Try again.",
      details,
    );
  }
  return new MeshError(
    "UPSTREAM_FAILED",
    "The connection to the upstream broke. Try again.",
    details,
  );
}

/** Node joins the faults of several addresses in one; the first tells the kind. */
function findCode(fault: unknown): string {
  if (!(fault instanceof Error)) return "";
  if ("code" in fault && typeof fault.code === "string") return fault.code;
  return fault instanceof AggregateError ? findCode(fault.errors[0]) : "";
}

function describe(fault: unknown, code: string): string {
  if (fault instanceof AggregateError && fault.message === "") {
    return fault.errors.map((each) => describe(each, findCode(each))).join("; ");
  }
  const message = fault instanceof Error ? fault.message : String(fault);
  return code === "" || message.includes(code) ? message : `${code}: ${message}`;
}

function isTlsCode(code: string): boolean {
  return /^(ERR_TLS|ERR_SSL|CERT_|UNABLE_TO_|SELF_SIGNED|DEPTH_ZERO|HOSTNAME_MISMATCH|EPROTO)/.test(
    code,
  );
}
