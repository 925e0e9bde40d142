import type { IncomingHttpHeaders } from "node:http";
import type { Call, DoorName } from "../../mesh/call.ts";
import type { Clock } from "../../mesh/clock.ts";
import { MeshError } from "../../mesh/errors.ts";
import { openCall } from "../open-call.ts";

/** Longer waits are no deadlines: a day. */
const TIMEOUT_MS_MAX = 86_400_000;

/** Opens the call of a request, without a deadline as yet. */
export function openRestCall(headers: IncomingHttpHeaders, door: DoorName, clock: Clock): Call {
  return openCall({ door, credential: readCredential(headers), timeoutMs: undefined }, clock);
}

/**
 * The secret that the caller shows, in any of the ways that clients have. Never from the query
 * string: addresses end up in logs and histories.
 */
export function readCredential(headers: IncomingHttpHeaders): string | undefined {
  const authorization = headers.authorization;
  if (authorization !== undefined) {
    const secret = readBearer(authorization);
    if (secret !== undefined) return secret;
  }
  return readOne(headers["x-api-key"]) ?? readOne(headers["api-key"]);
}

/** When the caller says how long it waits, the call with that deadline. Throws INVALID_REQUEST. */
export function withDeadline(call: Call, headers: IncomingHttpHeaders): Call {
  const text = readOne(headers["x-weir-timeout-ms"]) ?? readOne(headers["x-request-timeout-ms"]);
  if (text === undefined) return call;
  const timeoutMs = /^[0-9]{1,9}$/.test(text) ? Number(text) : 0;
  if (timeoutMs < 1 || timeoutMs > TIMEOUT_MS_MAX) {
    throw new MeshError(
      "INVALID_REQUEST",
      `The header x-weir-timeout-ms must be whole milliseconds, 1 to ${TIMEOUT_MS_MAX}.`,
      { field: "x-weir-timeout-ms" },
    );
  }
  return { ...call, deadlineMs: call.startedMs + timeoutMs };
}

/**
 * The deadline of the vendors' own clients, in seconds. It holds for whole answers only: for a
 * stream these clients wait that long for the headers, and as long as it takes for the rest.
 */
export function withClientDeadline(call: Call, headers: IncomingHttpHeaders): Call {
  const text = headers["x-stainless-timeout"];
  if (text === undefined || call.deadlineMs !== undefined) return call;
  const timeoutMs = Number(text) * 1000;
  if (!(timeoutMs >= 1 && timeoutMs <= TIMEOUT_MS_MAX)) return call;
  return { ...call, deadlineMs: call.startedMs + timeoutMs };
}

function readBearer(authorization: string): string | undefined {
  if (authorization.length < 8 || authorization.charCodeAt(6) !== 0x20) return undefined;
  if (authorization.slice(0, 6).toLowerCase() !== "bearer") return undefined;
  return authorization.slice(7).trim() || undefined;
}

function readOne(value: string | string[] | undefined): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}
