import { request } from "undici";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { createWeirClient, user, WeirError } from "../../src/client/index.ts";
import { until } from "../support/own-process.ts";
import { chatBody } from "../support/rest-calls.ts";
import {
  endAll,
  type SimProcess,
  startSim,
  startWeir,
  type WeirProcess,
} from "../support/weir-process.ts";

/** Ten minutes of answer: no stream ends by itself while a test looks at it. */
const SLOW = "text?tps=50&tokens=30000";
const PATIENCE_MS = 60_000;

let weir: WeirProcess;
let sim: SimProcess;

beforeAll(async () => {
  [weir, sim] = await Promise.all([startWeir({ workers: 2 }), startSim()]);
  const provider = { name: "providers/upstream", dialect: "openai", baseUrls: [sim.baseUrl] };
  await weir.admin.createProvider({ provider });
  for (const [name, of] of [
    ["models/slow", "providers/sim"],
    ["models/slow/http", "providers/upstream"],
  ] as const) {
    const targets = [{ provider: of, upstreamModel: SLOW }];
    await weir.admin.createModel({ model: { name, targets } });
  }
});
afterAll(endAll);

/** A stream that is open and has said something. */
interface OpenStream {
  readonly requestId: string;
  /** The reason of the error that it ended with, as its door tells it. */
  readonly ended: Promise<string>;
}

async function openRest(path: string, model: string, key: string): Promise<OpenStream> {
  const answer = await request(`${weir.url}${path}`, {
    method: "POST",
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
    body: JSON.stringify(chatBody({ model, stream: true, max_tokens: 100_000 })),
  });
  expect(answer.statusCode).toBe(200);
  const begun = Promise.withResolvers<void>();
  const read = async () => {
    let text = "";
    for await (const piece of answer.body) {
      text += piece;
      begun.resolve();
    }
    expect(text).not.toContain("[DONE]");
    expect(text).not.toContain("message_stop");
    return /credential_\w+/i.exec(text.slice(-1_000))?.[0].toUpperCase() ?? "";
  };
  const ended = read();
  await begun.promise;
  return { requestId: String(answer.headers["x-request-id"]), ended };
}

async function openGrpc(model: string, key: string): Promise<OpenStream> {
  const client = createWeirClient({ address: weir.url, key });
  onTestFinished(() => client.close());
  const begun = Promise.withResolvers<string>();
  const read = async () => {
    try {
      for await (const event of client.chat.stream({ model, messages: [user("one two")] })) {
        if (event.case === "started") begun.resolve(event.value.decision?.requestId ?? "");
      }
      return "";
    } catch (error) {
      return error instanceof WeirError ? error.reason : String(error);
    }
  };
  const ended = read();
  return { requestId: await begun.promise, ended };
}

/** Streams of one key through all doors, over both kinds of upstreams. */
function openAll(key: string): Promise<OpenStream[]> {
  return Promise.all([
    openRest("/v1/chat/completions", "slow", key),
    openRest("/v1/chat/completions", "slow/http", key),
    openRest("/v1/messages", "slow", key),
    openGrpc("slow", key),
    openGrpc("slow/http", key),
  ]);
}

describe("streams that are open", () => {
  const updateMask = (path: string) => ({ updateMask: { paths: [path] } });
  const changes: Array<[string, string, (name: string) => Promise<unknown>]> = [
    ["deleted", "CREDENTIAL_UNKNOWN", (name) => weir.admin.deleteKey({ name })],
    [
      "disabled",
      "CREDENTIAL_DISABLED",
      (name) => weir.admin.updateKey({ key: { name, disabled: true }, ...updateMask("disabled") }),
    ],
    [
      "rotated without an overlap",
      "CREDENTIAL_UNKNOWN",
      (name) => weir.admin.rotateKey({ name, overlap: { seconds: 0n, nanos: 0 } }),
    ],
    [
      "expired",
      "CREDENTIAL_EXPIRED",
      (name) => {
        const expireTime = { seconds: BigInt(Math.floor(Date.now() / 1000) + 2), nanos: 0 };
        return weir.admin.updateKey({ key: { name, expireTime }, ...updateMask("expire_time") });
      },
    ],
  ];
  it.each(changes)("end with an error once their key is %s", async (what, reason, change) => {
    const name = `teams/first/keys/${what.split(" ")[0]}`;
    const { secret } = await weir.admin.createKey({ key: { name } });
    const streams = await openAll(secret);
    await change(name);
    expect(await Promise.all(streams.map(({ ended }) => ended))).toEqual(streams.map(() => reason));
    for (const { requestId } of streams) {
      const record = await weir.record(requestId);
      expect(record).toMatchObject({ key: name, errorReason: reason });
      expect(record.attempts).toMatchObject([{ committed: true, errorReason: reason }]);
      expect(record.usage?.outputTokens).toBeGreaterThan(0);
      expect(record.usage?.estimated).toBe(true);
    }
    await until("the upstream has been let go", PATIENCE_MS, async () => {
      return (await sim.stats()).active === 0;
    });
  });
});
