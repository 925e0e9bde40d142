import { ConnectError } from "@connectrpc/connect";
import { asWeirError } from "../client/admin.ts";
import { WeirError } from "../client/weir-error.ts";
import { printNote, toCell, toPrintable } from "./output.ts";
import { UsageError } from "./usage-error.ts";

/** Something that cannot be done, in a sentence for people. */
export class Failure extends Error {
  constructor(message: string) {
    super(message);
    this.name = "Failure";
  }
}

/**
 * Runs a command: what fails is said in one line and becomes exit code 1. A UsageError goes on to
 * who called.
 */
export async function reportFailure(
  command: string,
  address: string,
  run: () => Promise<number>,
): Promise<number> {
  try {
    return await run();
  } catch (thrown) {
    if (thrown instanceof UsageError) throw thrown;
    printNote(`weir ${command}: ${describeFailure(thrown, address)}`);
    return 1;
  }
}

/** What was thrown in one line: the reason, what happened, and what to do. */
export function describeFailure(thrown: unknown, address: string): string {
  if (thrown instanceof ConnectError || thrown instanceof WeirError) {
    const error = asWeirError(thrown);
    const unreachable = describeUnreachable(error, address);
    if (unreachable !== undefined) return unreachable;
    const field = error.fields[0]?.field;
    const where = field === undefined ? "" : ` (${field})`;
    const request = error.requestId === undefined ? "" : ` [request ${error.requestId}]`;
    const advice = adviceByReason[error.reason];
    return toCell(
      `${error.reason}: ${error.message}${where}${request}${advice === undefined ? "" : ` ${advice}`}`,
    );
  }
  if (thrown instanceof Failure) return toPrintable(thrown.message);
  return toCell(thrown instanceof Error ? thrown.message : String(thrown));
}

/** When nothing of Weir's answered: no request was numbered, and the error has no details. */
function describeUnreachable(
  { requestId, metadata, message }: WeirError,
  address: string,
): string | undefined {
  if (requestId !== undefined || Object.keys(metadata).length > 0) return undefined;
  if (isDistrust(message)) {
    return `UNAVAILABLE: the certificate at ${address} is not trusted (${toCell(message)}). Give its authority with --ca or WEIR_CA.`;
  }
  const [cause] = /E[A-Z_]{5,}(?= |$|\.)/.exec(message) ?? [];
  if (cause !== undefined) {
    return `UNAVAILABLE: nothing answers at ${address} (${cause}). Start Weir, or say where it is with --address or WEIR_ADDRESS.`;
  }
  if (!/No connection|socket|stream closed|hang up|Protocol error/i.test(message)) return undefined;
  const other = address.startsWith("http:") ? "https" : "http";
  return `UNAVAILABLE: what listens at ${address} does not answer as Weir does. Perhaps it wants ${other}://.`;
}

/** Whether a fault of a connection is that its certificate is not trusted. */
export function isDistrust(message: string): boolean {
  return /certificate|CERT_|ALTNAME|altnames/i.test(message);
}

const adviceByReason: Readonly<Record<string, string | undefined>> = {
  CREDENTIAL_UNKNOWN: "Check --key, WEIR_KEY and WEIR_ADMIN_KEY.",
  CREDENTIAL_EXPIRED: "`weir keys rotate` makes a new secret; an admin can extend the key.",
  CREDENTIAL_DISABLED: "An admin can enable it again.",
  PERMISSION_DENIED: "Use a key with a higher role.",
  MODEL_NOT_FOUND: "`weir models` lists those that this key may use.",
  MODEL_NOT_ALLOWED: "`weir models` lists those that this key may use.",
  ETAG_MISMATCH: "Read it again with `weir get`, and lay your change over that.",
  DEADLINE_EXCEEDED: "Try again, or see `weir doctor`.",
};
