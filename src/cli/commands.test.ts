import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code } from "@connectrpc/connect";
import { afterEach, describe, expect, it } from "vitest";
import { Model_Health } from "../../gen/weir/v1/model_service_pb.ts";
import {
  type Answers,
  createRpcError,
  openPretendWeir,
  type PretendWeir,
} from "../../test/client/pretend-weir.ts";
import { eventually } from "../../test/support/eventually.ts";
import { type Ran, runCommand } from "./run-command.fixture.ts";

let weir: PretendWeir | undefined;
const directory = mkdtempSync(join(tmpdir(), "weir-cli-"));

afterEach(async () => {
  await weir?.close();
  rmSync(directory, { recursive: true, force: true });
});

/** Runs a command line against a Weir with these answers. */
async function run(answers: Answers, ...args: string[]): Promise<Ran> {
  weir = await openPretendWeir(answers);
  return await runCommand(args, { WEIR_ADDRESS: weir.address, WEIR_KEY: "wk_test" });
}

async function* answer() {
  const decision = { requestId: "req_1", model: "m", provider: "p", upstreamModel: "u" };
  yield { event: { case: "started" as const, value: { decision } } };
  yield { event: { case: "textDelta" as const, value: { text: "Good " } } };
  yield { event: { case: "textDelta" as const, value: { choiceIndex: 1, text: "other" } } };
  yield { event: { case: "textDelta" as const, value: { text: "day" } } };
  const cost = { costNanoUsd: 1500n, known: true };
  const usage = { inputTokens: 3, outputTokens: 2 };
  yield { event: { case: "finished" as const, value: { cost, usage } } };
}

describe("weir chat", () => {
  it("writes the first answer's text to standard output, and nothing else", async () => {
    const seen: unknown[] = [];
    const ran = await run(
      {
        chat: {
          streamChat: ({ chat }) => {
            seen.push(
              chat?.model,
              chat?.messages.map(({ role }) => role),
              chat?.sampling,
            );
            return answer();
          },
        },
      },
      ...["chat", "m", "Hello", "you", "--system", "Be kind", "--max-tokens", "5"],
    );
    expect(ran).toEqual({ code: 0, out: "Good day\n", err: "" });
    expect(seen).toMatchObject(["m", [1, 3], { maxTokens: 5 }]);
  });

  it("tells about the answer on standard error, when asked to", async () => {
    const { out, err } = await run({ chat: { streamChat: answer } }, "chat", "m", "Hi", "-v");
    expect(out).toBe("Good day\n");
    expect(err).toContain("m at p as u, request req_1");
    expect(err).toContain("3 + 2 tokens, $0.0000015");
  });

  it("writes events as lines of JSON", async () => {
    const { out } = await run({ chat: { streamChat: answer } }, "chat", "m", "Hi", "--json");
    const lines = out.trimEnd().split("\n");
    expect(lines.map((line) => Object.keys(JSON.parse(line))[0])).toEqual([
      "started",
      "textDelta",
      "textDelta",
      "textDelta",
      "finished",
    ]);
  });

  it("cancels the call on Ctrl-C, and keeps what came before", async () => {
    let aborted = false;
    weir = await openPretendWeir({
      chat: {
        streamChat: async function* (_, { signal }) {
          yield { event: { case: "textDelta" as const, value: { text: "Once" } } };
          await new Promise((resolve) => signal.addEventListener("abort", resolve));
          aborted = true;
        },
      },
    });
    const env = { WEIR_ADDRESS: weir.address, WEIR_KEY: "wk_test" };
    const ran = await runCommand(["chat", "m", "Hi"], env, (text) => {
      if (text === "Once") process.emit("SIGINT");
    });
    expect(ran).toEqual({ code: 130, out: "Once\n", err: "weir chat: cancelled\n" });
    await eventually(() => expect(aborted).toBe(true));
    expect(process.listenerCount("SIGINT")).toBe(0);
  });

  it("says in one line what failed, and what to do", async () => {
    const ran = await run(
      {
        chat: {
          streamChat: () => {
            throw createRpcError(Code.NotFound, "MODEL_NOT_FOUND", { message: "No \x1b[2Jsuch." });
          },
        },
      },
      ...["chat", "m", "Hi"],
    );
    expect([ran.code, ran.out]).toEqual([1, ""]);
    expect(ran.err).toMatch(/^weir chat: MODEL_NOT_FOUND: No .*such\. .*`weir models`.*\n$/);
    expect(ran.err).not.toContain("\x1b");
  });
});

describe("weir embed and weir models", () => {
  it("shows vectors in short", async () => {
    const values = [0.5, 0.25, 0, 0, 0, 0, 1];
    const { out } = await run(
      { embed: { embed: () => ({ embeddings: [{ index: 0, values }] }) } },
      ...["embed", "m", "text"],
    );
    expect(out).toContain("0.5000 0.2500 0.0000 0.0000 0.0000 0.0000 …");
  });

  it("shows what the key may use", async () => {
    const price = { inputNanoUsdPerMillion: 150_000_000n, outputNanoUsdPerMillion: 600_000_000n };
    const { out } = await run(
      {
        models: {
          listModels: () => ({
            models: [{ name: "m", capabilities: ["chat"], price, health: Model_Health.DEGRADED }],
          }),
        },
      },
      "models",
    );
    expect(out.split("\n")[1]).toMatch(/^m +chat +\? +0\.15 +0\.6 +degraded$/);
  });
});

describe("weir get", () => {
  it("lists all pages, as a table, as names and as documents", async () => {
    const answers: Answers = {
      admin: {
        listTeams: ({ pageToken }) =>
          pageToken === ""
            ? { teams: [{ name: "teams/a" }], nextPageToken: "2" }
            : { teams: [{ name: "teams/b", disabled: true }] },
      },
    };
    const { out } = await run(answers, "get", "teams");
    expect(out).toMatch(/teams\/a .* on\nteams\/b .* disabled\n$/);
    await weir?.close();
    expect((await run(answers, "get", "teams", "-o", "name")).out).toBe("teams/a\nteams/b\n");
    await weir?.close();
    const { out: json } = await run(answers, "get", "teams", "-o", "json");
    expect(JSON.parse(json)).toMatchObject([{ kind: "Team", name: "teams/a" }, {}]);
  });
});

describe("weir keys", () => {
  it("prints the secret, alone on standard output", async () => {
    const seen: unknown[] = [];
    const ran = await run(
      {
        admin: {
          createKey: ({ key }) => {
            seen.push(key);
            return { key: { name: key?.name ?? "" }, secret: "wk_new" };
          },
        },
      },
      ...["keys", "create", "a", "ci", "--models", "m,n", "--label", "env=ci", "--expires", "1h"],
    );
    expect([ran.code, ran.out]).toEqual([0, "wk_new\n"]);
    expect(seen).toMatchObject([
      { name: "teams/a/keys/ci", allowedModels: ["m", "n"], labels: { env: "ci" } },
    ]);
  });

  const revocations: Array<[number, number]> = [
    [2, 0],
    [1, 1],
  ];
  for (const [confirmed, code] of revocations) {
    it(`ends with ${code} when ${confirmed} of 2 proxies refuse a revoked key`, async () => {
      const paths: string[] = [];
      const ran = await run(
        {
          admin: {
            updateKey: ({ key, updateMask }) => {
              paths.push(...(updateMask?.paths ?? []));
              const result = { proxiesConfirmed: confirmed, proxiesConnected: 2 };
              return { key: { name: key?.name ?? "" }, result };
            },
          },
        },
        ...["keys", "revoke", "teams/a/keys/ci"],
      );
      expect([ran.code, paths]).toEqual([code, ["disabled"]]);
      expect(ran.out).toContain(`${confirmed} of 2`);
    });
  }
});

describe("weir usage", () => {
  it("adds up, to the nano-dollar", async () => {
    const row = (model: string, costNanoUsd: bigint) => ({
      model,
      totals: { requests: 2n, inputTokens: 1000n, outputTokens: 1n, costNanoUsd, latencyUs: 3000n },
    });
    const { out } = await run(
      { usage: { queryUsage: () => ({ rows: [row("a", 9_007_199_254_740_993n), row("b", 7n)] }) } },
      ...["usage", "--by", "model"],
    );
    const [, a, b, total] = out.split("\n");
    expect(a).toMatch(/^a +2 +0 +1,000 +0 +1 +1\.5ms +\$9007199\.254740993$/);
    expect(b).toContain("$0.000000007");
    expect(total).toMatch(/^TOTAL +4 +0 +2,000 +0 +2 +1\.5ms +\$9007199\.254741$/);
  });

  it("says that a cost is not all, when prices are unknown", async () => {
    const rows = [{ totals: { requests: 2n, unpricedRequests: 1n, costNanoUsd: 5n } }];
    const { out } = await run({ usage: { queryUsage: () => ({ rows }) } }, "usage", "--by", "none");
    expect(out).toContain("$0.000000005+");
    expect(out).toContain("1 of the requests have no known price");
  });
});

describe("weir request and weir tail", () => {
  const record = {
    requestId: "req_1",
    startTime: timestampFromMs(0),
    latencyUs: 12_000n,
    team: "teams/a",
    key: "teams/a/keys/k",
    modelAsked: "m",
    model: "n",
    provider: "providers/q",
    upstreamModel: "n-1",
    attempts: [
      {
        provider: "providers/p",
        upstreamModel: "m-1",
        httpStatus: 503,
        errorReason: "UPSTREAM_FAILED",
      },
      { provider: "providers/q", upstreamModel: "n-1", httpStatus: 200, committed: true },
    ],
    usage: { inputTokens: 10, cacheReadTokens: 5, outputTokens: 7 },
    costNanoUsd: 42n,
    costKnown: true,
    finishReason: "stop",
    labels: { feature: "search\nx" },
  };

  it("show a request with its attempts", async () => {
    const { out } = await run({ usage: { getRequest: () => ({ record }) } }, "request", "req_1");
    expect(out).toMatch(/Model +m → n → q:n-1\n/);
    expect(out).toMatch(/Tokens +10 input, 5 from the vendor's cache, 7 output\n/);
    expect(out).toMatch(/Cost +\$0\.000000042\n/);
    expect(out).toMatch(/Labels +feature=search x\n/);
    expect(out).toMatch(/1 +providers\/p:m-1 +503 +UPSTREAM_FAILED/);
    expect(out).toMatch(/2 +providers\/q:n-1 +200 +ok/);
  });

  it("show each request on one line, and say when the stream ends", async () => {
    const ran = await run(
      {
        usage: {
          tailRequests: async function* ({ filter, backlog }) {
            yield { record: { ...record, team: filter?.teams[0] ?? "" }, skipped: BigInt(backlog) };
          },
        },
      },
      ...["tail", "--team", "a", "-n", "3"],
    );
    expect(ran.code).toBe(1);
    expect(ran.out).toBe(
      "00:00:00  ok  a/k  m → n → q:n-1  15+7 tokens  $0.000000042  12ms  2 attempts  req_1\n",
    );
    expect(ran.err).toContain("(3 requests went by too fast to show)");
    expect(ran.err).toContain("Weir ended the stream");
  });
});

describe("weir rollback", () => {
  it("says what was restored", async () => {
    const { out } = await run(
      {
        admin: {
          rollbackTo: ({ revision }) => ({
            changes: [{ name: "teams/a", after: { resource: { case: "team", value: {} } } }],
            result: { revision: revision + 10n },
          }),
        },
      },
      ...["rollback", "7"],
    );
    expect(out).toBe("teams/a created\nThis is revision 17.\n");
  });
});

describe("a wrong command line", () => {
  const env = { WEIR_KEY: "wk_test" };
  const lines: Array<[string[], string]> = [
    [["bogus"], "no command"],
    [["constructor"], "no command"],
    [["chat"], "which model"],
    [["chat", "m", "x", "--temperature", "hot"], "--temperature"],
    [["chat", "m", "x", "--address", "ftp://x"], "--address"],
    [["chat", "m", "x", "--key", "a b"], "--key"],
    [["embed"], "which model"],
    [["get"], "what?"],
    [["get", "things"], "no name of a resource"],
    [["get", "teams", "-o", "xml"], "--output"],
    [["get", "teams", "--label", "x"], "--label"],
    [["describe"], "which resource"],
    [["apply"], "which documents"],
    [["delete"], "what?"],
    [["delete", "teams/a", "-f", "x"], "not both"],
    [["keys"], "create, rotate or revoke"],
    [["keys", "create", "a"], "TEAM NAME"],
    [["keys", "create", "a", "b", "--admin-role", "king"], "no role"],
    [["keys", "create", "a", "b", "--expires", "soon"], "--expires"],
    [["keys", "create", "a", "b", "--models", "m,,n"], "--models"],
    [["keys", "rotate", "k"], "full name"],
    [["keys", "revoke"], "full name"],
    [["usage", "--by", "colour"], "no group"],
    [["usage", "--by", "label"], "which label"],
    [["usage", "--by", "team,team"], "twice"],
    [["usage", "--bucket", "week"], "--bucket"],
    [["tail", "-n", "5000"], "--backlog"],
    [["request"], "which request"],
    [["rollback", "0"], "which revision"],
    [["rollback", "9999999999999999999"], "which revision"],
    [["doctor", "-o", "xml"], "--output"],
  ];
  for (const [args, message] of lines) {
    it(`is refused: weir ${args.join(" ")}`, async () => {
      const { code, err, out } = await runCommand(args, env);
      expect([code, out]).toEqual([2, ""]);
      expect(err).toContain(message);
      expect(err.trimEnd()).not.toContain("\n");
    });
  }

  it("is refused without a key, which names the variable", async () => {
    const { code, err } = await runCommand(["get", "teams"], {});
    expect([code, err]).toEqual([2, expect.stringContaining("WEIR_ADMIN_KEY")]);
  });

  it("ends with 1 where nothing listens, and says so", async () => {
    const { code, err } = await runCommand(["get", "teams", "--address", "127.0.0.1:1"], env);
    expect(code).toBe(1);
    expect(err).toContain("nothing answers at http://127.0.0.1:1 (ECONNREFUSED)");
  });

  it("ends with 1 for a file that is not there", async () => {
    const { code, err } = await run({}, "apply", "-f", join(directory, "none.yaml"));
    expect(code).toBe(1);
    expect(err).toContain("ENOENT");
  });

  it("writes nothing when a document is bad", async () => {
    const file = join(tmpdir(), `weir-bad-${process.pid}.yaml`);
    writeFileSync(file, "kind: Team\nname: a\n---\nkind: Team\nname: a\n---\nkind: X\nname: b\n");
    let calls = 0;
    const getTeam = () => {
      calls += 1;
      return {};
    };
    const { code, err } = await run({ admin: { getTeam } }, "apply", "-f", file);
    rmSync(file);
    expect([code, calls]).toEqual([1, 0]);
    expect(err).toContain(`${file}:7: there is no kind "X"`);
    expect(err).toContain(`${file}:4: teams/a is in ${file}:1 already`);
  });
});
