import { createServer, type Server } from "node:http";
import { afterEach, describe, expect, it } from "vitest";
import { VirtualClock } from "../../mesh/virtual-clock.ts";
import { checkPort, tryConnect } from "./port.ts";

let server: Server | undefined;

afterEach(() => {
  server?.close();
  server?.closeAllConnections();
});

async function open(status: number, body: string, date = new Date(0)): Promise<string> {
  server = createServer((_, response) => {
    response.writeHead(status, { date: date.toUTCString() }).end(body);
  });
  await new Promise<void>((resolve) => server?.listen(0, "127.0.0.1", resolve));
  const bound = server.address();
  return `http://127.0.0.1:${typeof bound === "object" ? bound?.port : 0}`;
}

/** What is found at an answer, by a clock that stands at `nowMs`. */
async function check(address: string, nowMs = 0): Promise<string[]> {
  const { findings } = await checkPort({ address, ca: undefined }, new VirtualClock(nowMs));
  return findings.map(({ state, what }) => `${state} ${what}`);
}

describe("checkPort()", () => {
  it("is content with a ready Weir", async () => {
    const address = await open(200, '{"ready":true,"faults":[]}');
    expect(await check(address)).toEqual([
      `good Weir serves at ${address}`,
      "good the clocks here and there agree",
    ]);
  });

  it("tells what a proxy says: doubtful while it serves, broken when it does not", async () => {
    const address = await open(200, '{"ready":true,"faults":["X."]}');
    expect(await check(address)).toContain("doubtful the proxy says: X.");
    server?.close();
    const other = await open(503, '{"ready":false,"faults":["X."]}');
    expect(await check(other)).toContain("broken the proxy says: X.");
  });

  for (const body of ["", "<html>", '{"ready":1}', "[]"]) {
    it(`finds that ${JSON.stringify(body)} is no Weir's`, async () => {
      const [first] = await check(await open(200, body));
      expect(first).toMatch(/^broken what answers .* is no Weir/);
    });
  }

  const skews: Array<[number, string]> = [
    [999, "good"],
    [5900, "good"],
    [7000, "doubtful"],
    [-6000, "doubtful"],
    [62_000, "broken"],
    [-61_000, "broken"],
  ];
  for (const [nowMs, state] of skews) {
    it(`finds a clock that is ${nowMs} ms from the answer's second ${state}`, async () => {
      const found = await check(await open(200, '{"ready":true}'), nowMs);
      expect(found.at(-1)).toMatch(new RegExp(`^${state} the clocks`));
    });
  }

  it("says when nothing listens", async () => {
    const [first] = await check("http://127.0.0.1:1");
    expect(first).toContain("nothing answers at http://127.0.0.1:1");
  });
});

describe("tryConnect()", () => {
  it("tells why not", async () => {
    expect(await tryConnect("127.0.0.1", 1, 1000)).toBe("ECONNREFUSED");
    const address = new URL(await open(200, ""));
    expect(await tryConnect(address.hostname, Number(address.port), 1000)).toBeUndefined();
  });
});
