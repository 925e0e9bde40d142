import { StoreError } from "./store.ts";

/** Where a Postgres is. */
export interface PostgresUrl {
  /** With all that it takes to connect, the password too: never to be shown. */
  readonly connection: string;
  /** Host, port and database, for people. */
  readonly label: string;
}

/**
 * Reads `postgres://USER:PASSWORD@HOST:PORT/DATABASE?…`. Throws StoreError that says what is wrong
 * without repeating what was given, since a part of it is secret.
 */
export function parsePostgresUrl(text: string): PostgresUrl {
  const connection = text.trim();
  const url = URL.canParse(connection) ? new URL(connection) : undefined;
  if (url === undefined || !protocols.has(url.protocol) || isTornApart(url)) {
    throw new StoreError(
      "This is no address of a Postgres: write postgres://USER:PASSWORD@HOST:PORT/DATABASE, and " +
        "in the password %23 for #, %2F for /, %3A for :, %3F for ?, %40 for @ and %25 for %.",
    );
  }
  if (url.pathname.length < 2) {
    throw new StoreError(
      "The address of the Postgres names no database: write " +
        "postgres://USER:PASSWORD@HOST:PORT/DATABASE.",
    );
  }
  const host = url.searchParams.get("host") ?? url.hostname;
  const port = url.searchParams.get("port") ?? (url.port === "" ? "5432" : url.port);
  const where = host === "" ? "" : `${host}:${port}`;
  return { connection, label: `postgres://${where}${url.pathname}` };
}

const protocols: ReadonlySet<string> = new Set(["postgres:", "postgresql:"]);

/** A password with a bare `#`, `/` or `?` ends up in other parts, an `@` behind it. */
function isTornApart({ hash, pathname, search }: URL): boolean {
  return hash !== "" || pathname.includes("@") || /^[^=]*@/.test(search);
}
