import { afterEach, describe, expect, it } from "vitest";
import { systemClock } from "../mesh/clock.ts";
import { findLocalEngines } from "./find-local-engines.ts";
import { type RawServer, startRawServer, writeResponse } from "./trial.fixture.ts";

const servers: RawServer[] = [];

afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
});

describe("findLocalEngines()", () => {
  it("tells an engine by whom its models belong to, wherever it listens", async () => {
    const owners = [
      ["library", "ollama"],
      ["vllm", "vllm"],
      ["me", "place"],
    ] as const;
    for (const [owner, name] of owners) {
      const data = [{ id: "llama3", object: "model", owned_by: owner }];
      expect(
        await find(writeResponse(200, JSON.stringify({ object: "list", data }))),
      ).toMatchObject([{ name, models: ["llama3"] }]);
    }
  });

  const others: Array<[string, Buffer | undefined]> = [
    ["what never answers", undefined],
    ["what wants a key", writeResponse(401, "{}")],
    ["a web page", writeResponse(200, "<html>")],
    ["other JSON", writeResponse(200, '{"data":{}}')],
    ["another Weir by its models", writeResponse(200, '{"data":[{"id":"a","owned_by":"weir"}]}')],
    [
      "another Weir by its headers",
      writeResponse(200, '{"data":[]}', { "x-weir-request-id": "r" }),
    ],
  ];
  for (const [name, answer] of others) {
    it(`passes over ${name}`, async () => {
      expect(await find(answer)).toEqual([]);
    });
  }

  async function find(answer: Buffer | undefined) {
    const server = await startRawServer((socket) => {
      if (answer !== undefined) socket.write(answer);
    });
    servers.push(server);
    const port = Number(new URL(server.url).port);
    const ports = [{ name: "place", port }];
    // A busy machine may take its time; only silence is to be waited for in vain.
    const timeoutMs = answer === undefined ? 100 : 30_000;
    return await findLocalEngines({ clock: systemClock, ports, timeoutMs });
  }
});
