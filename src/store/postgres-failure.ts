import { StoreError } from "./store.ts";

/** Puts what Postgres or the way there reports into words that say who must do what. */
export function describePostgresFailure(thrown: unknown, label: string): StoreError {
  if (thrown instanceof StoreError) return thrown;
  const detail = thrown instanceof Error ? readMessage(thrown) : String(thrown);
  // The error itself stays behind: some of them hold the connection, and it the password.
  const cause = new Error(detail);
  const code = readCode(thrown);
  const advise = advice.get(code) ?? adviceByClass.get(code.slice(0, 2));
  if (advise !== undefined) return new StoreError(advise(label), cause);
  if (isLostConnection(thrown)) {
    return new StoreError(
      `The store ${label} cannot be reached (${code === "" ? detail : code}): start the ` +
        "database, or check host and port. Nothing was written, and no restart is needed once it " +
        "answers.",
      cause,
    );
  }
  if (/certificate|SELF_SIGNED|UNABLE_TO_/i.test(`${code} ${detail}`)) {
    return new StoreError(
      `The certificate of the store ${label} is not trusted (${detail}): name its authority by ` +
        "sslrootcert=FILE in the address.",
      cause,
    );
  }
  if (/does not support SSL/i.test(detail)) {
    return new StoreError(
      `The store ${label} speaks no TLS: turn it on there, or leave sslmode out of the address.`,
      cause,
    );
  }
  return new StoreError(`The store ${label} failed: ${detail}.`, cause);
}

/** The connection is gone, or there never was one; what was asked may be asked once more. */
export function isLostConnection(thrown: unknown): boolean {
  if (thrown instanceof StoreError || !(thrown instanceof Error)) return false;
  const code = readCode(thrown);
  if (lostCodes.has(code) || code.startsWith("08")) return true;
  return code === "" && /terminated|timeout expired|not queryable|closed/i.test(thrown.message);
}

/** Two transactions were in each other's way: nothing was written, and it may be tried again. */
export function isCollision(thrown: unknown): boolean {
  const code = readCode(thrown);
  return code === "40001" || code === "40P01";
}

/** SQLSTATE of the server or the code of the system; empty when there is none. */
function readCode(thrown: unknown): string {
  if (!(thrown instanceof Error) || !("code" in thrown)) return "";
  return typeof thrown.code === "string" ? thrown.code : "";
}

/** A host of several addresses fails with several errors at once, and no text of its own. */
function readMessage(error: Error): string {
  if (!(error instanceof AggregateError) || error.message !== "") return error.message;
  return error.errors.map((each) => (each instanceof Error ? each.message : "")).join(", ");
}

const lostCodes: ReadonlySet<string> = new Set([
  ...["ECONNREFUSED", "ECONNRESET", "ECONNABORTED", "EPIPE", "ETIMEDOUT", "ENOTFOUND"],
  ...["EAI_AGAIN", "EHOSTUNREACH", "EHOSTDOWN", "ENETUNREACH", "ENOENT", "ERR_STREAM_DESTROYED"],
  // The server ends this connection, stops, or begins.
  ...["57P01", "57P02", "57P03", "57P05", "25P03"],
]);

type Advice = (label: string) => string;

/** By SQLSTATE. */
const advice: ReadonlyMap<string, Advice> = new Map<string, Advice>([
  ["57P03", (label) => `The store ${label} starts or stops just now: it will answer by itself.`],
  [
    "3D000",
    (label) =>
      `There is no such database at ${label}: make it, ` +
      "CREATE DATABASE name ENCODING 'UTF8' TEMPLATE template0.",
  ],
  [
    "42501",
    (label) =>
      `The store ${label} denies its user something: make that user the database's owner, or ` +
      "GRANT it CREATE on the schema and all rights on its tables.",
  ],
  [
    "42P01",
    (label) => `The store ${label} has no schema yet: migrate it first, by \`weir db migrate\`.`,
  ],
  [
    "53300",
    (label) =>
      `The store ${label} has no connection left: raise max_connections there; each control ` +
      "process takes 11 at most.",
  ],
  [
    "53100",
    (label) => `The disk of the store ${label} is full: free some space; nothing was written.`,
  ],
  [
    "57014",
    (label) =>
      `The store ${label} took too long: ask for less at once, such as a shorter span of time, ` +
      "or look for what it is busy with.",
  ],
  ["55P03", (label) => `The store ${label} is locked: stop what holds it, then try again.`],
  ["25006", readOnly],
  // A replica does not even begin a transaction that may write.
  ["0A000", readOnly],
  ["40001", collided],
  ["40P01", collided],
]);

/** By the first two characters of SQLSTATE. */
const adviceByClass: ReadonlyMap<string, Advice> = new Map<string, Advice>([
  [
    "28",
    (label) =>
      `The store ${label} refuses its user: check user and password in the address, and ` +
      "pg_hba.conf there.",
  ],
  [
    "23",
    (label) =>
      `The store ${label} refused the write, which contradicts what it holds: nothing was written.`,
  ],
  [
    "XX",
    (label) =>
      `The store ${label} reports a fault of its own: look at the server's log, and restore a ` +
      "backup if its files are damaged.",
  ],
]);

function readOnly(label: string): string {
  return (
    `The store ${label} takes no writes: it is a replica or read-only. Name the primary in the ` +
    "address."
  );
}

function collided(label: string): string {
  return `Too many write to the store ${label} at once: try again in a moment. Nothing was written.`;
}
