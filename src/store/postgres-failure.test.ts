import { describe, expect, it } from "vitest";
import { describePostgresFailure, isCollision, isLostConnection } from "./postgres-failure.ts";
import { StoreError } from "./store.ts";

const label = "postgres://db:5432/weir";
const fail = (code: string, message = "as Postgres says") =>
  Object.assign(new Error(message), code === "" ? {} : { code });

describe("describePostgresFailure()", () => {
  const advice: readonly [string, string, RegExp][] = [
    ["ECONNREFUSED", "connect ECONNREFUSED", /cannot be reached \(ECONNREFUSED\): start the/],
    ["", "Connection terminated unexpectedly", /cannot be reached \(Connection terminated/],
    ["57P01", "terminating connection", /cannot be reached \(57P01\)/],
    ["57P03", "starting up", /starts or stops just now/],
    ["28P01", "password authentication failed", /check user and password/],
    ["3D000", "no database", /CREATE DATABASE name ENCODING 'UTF8'/],
    ["42P01", "relation does not exist", /`weir db migrate`/],
    ["42501", "permission denied", /GRANT/],
    ["53300", "too many clients", /raise max_connections/],
    ["53100", "no space left", /is full: free some space/],
    ["57014", "canceling statement", /ask for less at once/],
    ["55P03", "lock timeout", /is locked/],
    ["25006", "read-only transaction", /Name the primary/],
    ["0A000", "cannot set during recovery", /Name the primary/],
    ["23505", "duplicate key", /contradicts what it holds/],
    ["40P01", "deadlock detected", /try again in a moment/],
    ["XX001", "invalid page", /restore a backup/],
    ["DEPTH_ZERO_SELF_SIGNED_CERT", "self-signed certificate", /sslrootcert=FILE/],
    ["", "The server does not support SSL connections", /speaks no TLS/],
  ];
  for (const [code, message, text] of advice) {
    it(`names the store and what to do for ${code || message}`, () => {
      const failure = describePostgresFailure(fail(code, message), label);
      expect(failure).toBeInstanceOf(StoreError);
      expect(failure.message).toMatch(text);
      expect(failure.message).toContain(label);
      expect(failure.cause).toEqual(new Error(message));
    });
  }

  it("repeats what Postgres says when there is no advice", () => {
    const { message } = describePostgresFailure(fail("22012", "division by zero"), label);
    expect(message).toBe(`The store ${label} failed: division by zero.`);
  });

  it("leaves a StoreError as it is", () => {
    const error = new StoreError("Do this.");
    expect(describePostgresFailure(error, label)).toBe(error);
  });

  it("keeps nothing of the error but its text: it may hold the connection", () => {
    const error = Object.assign(fail("57P01"), { client: { password: "secret" } });
    expect(JSON.stringify(describePostgresFailure(error, label).cause)).not.toContain("secret");
  });

  it("tells what each address of a host said", () => {
    const parts = [fail("ECONNREFUSED", "::1 refused"), fail("ECONNREFUSED", "127.0.0.1 refused")];
    const both = Object.assign(new AggregateError(parts, ""), { code: "ECONNREFUSED" });
    expect(describePostgresFailure(both, label).cause).toEqual(
      new Error("::1 refused, 127.0.0.1 refused"),
    );
  });
});

describe("isLostConnection()", () => {
  it("knows the system's codes, the server's, and the driver's words", () => {
    for (const code of ["ECONNRESET", "EPIPE", "57P01", "57P03", "08006", "25P03"]) {
      expect(isLostConnection(fail(code)), code).toBe(true);
    }
    expect(isLostConnection(fail("", "Connection terminated"))).toBe(true);
    for (const code of ["23505", "57014", "40P01", "42P01"]) {
      expect(isLostConnection(fail(code, "connection terminated")), code).toBe(false);
    }
    expect(isLostConnection(new StoreError("The store is closed."))).toBe(false);
  });
});

describe("isCollision()", () => {
  it("is a deadlock or a failed serialisation, and nothing else", () => {
    expect(["40001", "40P01", "23505", "57014", ""].map((code) => isCollision(fail(code)))).toEqual(
      [true, true, false, false, false],
    );
  });
});
