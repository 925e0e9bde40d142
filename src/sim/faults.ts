import { type ErrorReason, MeshError } from "../mesh/errors.ts";
import type { Random } from "../mesh/random.ts";
import type { SimParameters } from "./parameters.ts";

/** How long `slow_headers` waits when no `ttft_ms` says otherwise. */
const SLOW_HEADERS_MS = 2000;

/** The parameters of one request: with its fault, or without when `fault_rate` spares it. */
export function drawFault(parameters: SimParameters, random: Random): SimParameters {
  if (parameters.fault === undefined || parameters.faultRate >= 1) return parameters;
  return random.unit() < parameters.faultRate ? parameters : { ...parameters, fault: undefined };
}

/** Time before the headers and between the headers and the first token. */
export function planDelays(parameters: SimParameters): { headersMs: number; firstTokenMs: number } {
  if (parameters.fault !== "slow_headers") {
    return { headersMs: 0, firstTokenMs: parameters.ttftMs };
  }
  return { headersMs: parameters.ttftMs || SLOW_HEADERS_MS, firstTokenMs: 0 };
}

/** After how many tokens the answer breaks; undefined when it does not. */
export function planBreak(parameters: SimParameters): number | undefined {
  switch (parameters.fault) {
    case "reset":
    case "stall":
    case "half_frame":
    case "error_event":
    case "garbage":
      return parameters.faultAfter ?? 0;
    default:
      return undefined;
  }
}

/** True when nothing at all is to be sent before the fault, not even headers. */
export function strikesFirst(parameters: SimParameters): boolean {
  const { fault } = parameters;
  if (fault === "status" || fault === "refuse" || fault === "context_length") return true;
  if (fault === "reset" || fault === "stall" || fault === "content_filter") {
    return parameters.faultAfter === undefined;
  }
  return false;
}

/**
 * A refusal as an HTTP server makes it: for the wire form of the fault, and for what a caller is
 * told of it.
 */
export interface Refusal {
  readonly status: number;
  /** The reason by which a server's own error object is made. */
  readonly served: ErrorReason;
  /** The reason by which whoever called that server sees it. */
  readonly seen: ErrorReason;
  readonly message: string;
  readonly code: string;
}

/** The refusal that a fault stands for; undefined for faults that are none. */
export function findRefusal(parameters: SimParameters): Refusal | undefined {
  if (parameters.fault === "context_length") {
    const message =
      "prompt is too long: the model's maximum context length is 8192 tokens. Shorten it.";
    const code = "context_length_exceeded";
    return { status: 400, served: "CONTEXT_TOO_LONG", seen: "CONTEXT_TOO_LONG", message, code };
  }
  if (parameters.fault === "content_filter" && parameters.faultAfter === undefined) {
    const message = "The prompt was blocked by the content filter of the simulated engine.";
    const code = "content_filter";
    return { status: 400, served: "CONTENT_BLOCKED", seen: "CONTENT_BLOCKED", message, code };
  }
  if (parameters.fault !== "status") return undefined;
  const status = parameters.faultStatus;
  const message = `The simulated engine was asked to answer with status ${status}.`;
  return { status, ...reasonsFor(status), message, code: "simulated" };
}

/** What a caller of the engine in this process sees of a fault. */
export function createFaultError(parameters: SimParameters): MeshError {
  const refusal = findRefusal(parameters);
  if (refusal !== undefined) return createRefusalError(refusal, parameters.retryAfterS);
  const internal = `simulated fault: ${parameters.fault}`;
  switch (parameters.fault) {
    case "half_frame":
    case "garbage":
      return new MeshError("UPSTREAM_GARBLED", "The upstream's answer makes no sense. Try again.", {
        internal,
      });
    case "error_event":
      return new MeshError("UPSTREAM_FAILED", "The upstream failed while it answered. Try again.", {
        internal,
        upstream: { status: 200, type: "server_error", code: "simulated", param: "" },
      });
    case "refuse":
      return new MeshError("UPSTREAM_FAILED", "The upstream could not be reached. Try again.", {
        internal,
      });
    default:
      return new MeshError("UPSTREAM_FAILED", "The connection to the upstream broke. Try again.", {
        internal,
      });
  }
}

function createRefusalError(refusal: Refusal, retryAfterS: number | undefined): MeshError {
  const details = {
    internal: `simulated fault: HTTP status ${refusal.status}`,
    upstream: { status: refusal.status, type: "simulated", code: refusal.code, param: "" },
  };
  if (retryAfterS === undefined) return new MeshError(refusal.seen, refusal.message, details);
  return new MeshError(refusal.seen, refusal.message, {
    ...details,
    retryAfterMs: retryAfterS * 1000,
  });
}

function reasonsFor(status: number): Pick<Refusal, "served" | "seen"> {
  switch (status) {
    case 401:
    case 402:
      return { served: "CREDENTIAL_UNKNOWN", seen: "UPSTREAM_CREDENTIAL" };
    case 403:
      return { served: "PERMISSION_DENIED", seen: "UPSTREAM_CREDENTIAL" };
    case 404:
      return { served: "MODEL_NOT_FOUND", seen: "UPSTREAM_REFUSED" };
    case 413:
      return { served: "REQUEST_TOO_LARGE", seen: "UPSTREAM_REFUSED" };
    case 429:
      return { served: "RATE_LIMITED", seen: "UPSTREAM_RATE_LIMITED" };
    case 408:
    case 504:
      return { served: "UPSTREAM_TIMEOUT", seen: "UPSTREAM_TIMEOUT" };
    default:
      if (status >= 400 && status < 500) {
        return { served: "INVALID_REQUEST", seen: "UPSTREAM_REFUSED" };
      }
      return { served: status === 500 ? "INTERNAL" : "UNAVAILABLE", seen: "UPSTREAM_FAILED" };
  }
}
