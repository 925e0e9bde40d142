import { describe, expect, it } from "vitest";
import { routes } from "../../src/ingress/rest/routes.ts";
import { type Door, openDoor } from "./open-door.ts";
import { KEY } from "./pretend-house.ts";

/** Sends a request line as it is: a client would tidy the path up. */
async function ask(door: Door, method: string, target: string, ...headers: string[]) {
  const head = [`${method} ${target} HTTP/1.1`, "Host: weir", "Connection: close", ...headers];
  const answer = await door.raw(`${head.join("\r\n")}\r\n\r\n`);
  const [top = "", body = ""] = answer.split("\r\n\r\n");
  return { status: Number(top.split(" ")[1]), top: top.toLowerCase(), body };
}

const methods = ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"];

describe("every route without a key", () => {
  for (const route of routes) {
    const path = route.path.endsWith("/") ? `${route.path}sim/echo` : route.path;
    for (const prefix of ["", "/v1"]) {
      for (const method of methods) {
        it(`${method} ${prefix}${path}`, async () => {
          const door = await openDoor();
          const served = method === route.method;
          const expected = served ? (route.access === "open" ? 200 : 401) : 405;
          const answer = await ask(door, method, prefix + path);
          expect(answer.status).toBe(expected);
          expect(answer.top).toContain("x-request-id: req_");
          if (!served) expect(answer.top).toContain(`allow: ${route.method.toLowerCase()}`);
          if (expected === 401) expect(answer.top).toContain("www-authenticate: bearer");
        });
      }
    }
  }
});

describe("a path that is not spelled like the table", () => {
  const targets = [
    "/",
    "//v1/models",
    "/v1//models",
    "/v1/../v1/models",
    "/v1/./models",
    "/v1/%6dodels",
    "/%2e/v1/models",
    "/v1/%2e%2e/v1/models",
    "/V1/models",
    "/v1/Models",
    "/v1/models;a=b",
    "/v1/healthz/",
    "/v1/v1/models",
    "/healthz/../v1/models",
    "/v1\\models",
    "/v1/chat/completions/",
    "http://other/v1/modelsx",
  ];
  for (const target of targets) {
    it(`is not found: ${target}`, async () => {
      const door = await openDoor();
      for (const method of ["GET", "POST"]) {
        expect((await ask(door, method, target)).status).toBe(404);
      }
    });
  }

  it("is not found below the models either, and needs a key to be told", async () => {
    const door = await openDoor();
    for (const name of ["../models", "%2e%2e/chat/completions", "..%2f..%2fhealthz"]) {
      expect((await ask(door, "GET", `/v1/models/${name}`)).status).toBe(401);
      const authorization = `Authorization: Bearer ${KEY}`;
      expect((await ask(door, "GET", `/v1/models/${name}`, authorization)).status).toBe(404);
    }
  });
});

describe("a credential", () => {
  const accepted = [
    `Authorization: Bearer ${KEY}`,
    `authorization: bearer ${KEY}`,
    `x-api-key: ${KEY}`,
    `api-key: ${KEY}`,
  ];
  for (const header of accepted) {
    it(`is taken from ${header.split(" ")[0]}`, async () => {
      const door = await openDoor();
      expect((await ask(door, "GET", "/v1/models", header)).status).toBe(200);
    });
  }

  const refused = [
    `Authorization: Basic ${KEY}`,
    `Authorization: Bearer`,
    `Authorization: Bearer${KEY}`,
    `Authorization: ${KEY}`,
    `Cookie: key=${KEY}`,
    `X-Forwarded-Authorization: Bearer ${KEY}`,
    `x-api-key: ${KEY}x`,
  ];
  for (const header of refused) {
    it(`is not taken from ${header.replace(KEY, "KEY")}`, async () => {
      const door = await openDoor();
      expect((await ask(door, "GET", "/v1/models", header)).status).toBe(401);
    });
  }

  it("is not taken from the query string", async () => {
    const door = await openDoor();
    for (const name of ["key", "api_key", "api-key", "access_token"]) {
      expect((await ask(door, "GET", `/v1/models?${name}=${KEY}`)).status).toBe(401);
    }
  });

  it("is not shown in the refusal", async () => {
    const door = await openDoor();
    const secret = "wk_secret_that_is_wrong";
    const answer = await ask(door, "GET", "/v1/models", `x-api-key: ${secret}`);
    expect(answer.top + answer.body).not.toContain(secret);
  });
});

describe("errors", () => {
  it("have the form of the route's vendor", async () => {
    const door = await openDoor();
    const openai = JSON.parse((await ask(door, "POST", "/v1/chat/completions")).body);
    expect(openai.error.code).toBe("credential_missing");
    const anthropic = JSON.parse((await ask(door, "POST", "/v1/messages")).body);
    expect(anthropic).toMatchObject({ type: "error", error: { type: "authentication_error" } });
    const unknown = JSON.parse((await ask(door, "POST", "/v1/messages/batches")).body);
    expect(unknown).toMatchObject({ type: "error", error: { type: "not_found_error" } });
  });
});

describe("the probes", () => {
  it("say when Weir is not ready, and why, while it lives", async () => {
    const readiness = () => ({ ready: false, faults: ["no snapshot has come yet"] });
    const door = await openDoor({ house: { readiness } });
    const answer = await ask(door, "GET", "/readyz");
    expect(answer.status).toBe(503);
    expect(answer.top).toContain("retry-after: 1");
    expect(JSON.parse(answer.body)).toEqual({ ready: false, faults: ["no snapshot has come yet"] });
    expect((await ask(door, "GET", "/healthz")).status).toBe(200);
  });

  it("answer HEAD without a body", async () => {
    const door = await openDoor();
    const answer = await ask(door, "HEAD", "/healthz");
    expect(answer.status).toBe(200);
    expect(answer.body).toBe("");
  });
});
