import { describe, expect, it } from "vitest";
import type { Usage } from "../../gen/weir/v1/usage_pb.ts";
import { anthropicChat } from "../../src/dialects/anthropic/index.ts";
import type { ChatDialect } from "../../src/dialects/dialect.ts";
import { openaiChat } from "../../src/dialects/openai/index.ts";
import { createChatAsk } from "../../src/dialects/typed-ask.ts";
import type { ChatAsk } from "../../src/mesh/ask.ts";
import { MeshError } from "../../src/mesh/errors.ts";
import { isJsonObject, type JsonObject } from "../../src/mesh/json.ts";
import type { Target } from "../../src/mesh/target.ts";
import { sumInputTokens, sumOutputTokens } from "../../src/mesh/usage.ts";
import { boundAsk } from "../../src/quota/bound.ts";
import { showsAll } from "../../src/quota/shows-all.ts";
import * as anthropic from "./anthropic-exchanges.ts";
import * as openai from "./openai-exchanges.ts";

interface Recorded {
  readonly name: string;
  readonly dialect: ChatDialect;
  readonly req: JsonObject;
  readonly res: string;
  readonly target: Target;
}

/** A vendor that is given several models may answer with any of them. */
function nameModel(target: Target, { model, models }: JsonObject): Target {
  return { ...target, upstreamModel: `${model} ${JSON.stringify(models ?? [])}` };
}

const answers: Recorded[] = [
  ...openai.answers.map((each) => ({
    ...each,
    name: openai.label(each)[0],
    dialect: openaiChat,
    target: nameModel(openai.targetOf(each), each.req),
  })),
  ...anthropic.answers.map((each) => ({
    ...each,
    name: anthropic.label(each)[0],
    dialect: anthropicChat,
    target: anthropic.targetOf(each),
  })),
];

const streams: Recorded[] = [
  ...openai.streams.map((each) => ({
    ...each,
    name: openai.label(each)[0],
    dialect: openaiChat,
    target: nameModel(openai.targetOf(each), each.req),
  })),
  ...anthropic.streams.map((each) => ({
    ...each,
    name: anthropic.label(each)[0],
    dialect: anthropicChat,
    target: anthropic.targetOf(each),
  })),
];

function readAsk({ dialect, req }: Recorded): ChatAsk {
  return dialect.client.readAsk(req, Buffer.byteLength(JSON.stringify(req)));
}

function readUsage(recorded: Recorded): Usage | undefined {
  return recorded.dialect.vendor.readAnswer(Buffer.from(recorded.res), readAsk(recorded)).end.usage;
}

/** What a vendor's own tools find is in no request, so nothing of the request bounds it. */
function runsTools({ req }: Recorded): boolean {
  const { model, tools, mcp_servers: servers, web_search_options: search, plugins } = req;
  if (Array.isArray(tools) && tools.some((tool) => !isOwnTool(tool))) return true;
  // Groq's compound models search whenever they like.
  return servers != null || search != null || plugins != null || /compound/.test(String(model));
}

function isOwnTool(tool: unknown): boolean {
  if (!isJsonObject(tool)) return false;
  return tool.type === undefined || tool.type === "function" || tool.type === "custom";
}

describe.skipIf(openai.absent || anthropic.absent)(
  "recorded exchanges (skipped where ../shared/fixtures/recorded is absent)",
  () => {
    it("never counted more tokens of text than their bounds say", () => {
      let compared = 0;
      const wrong: unknown[] = [];
      for (const recorded of answers) {
        const ask = readAsk(recorded);
        const bounds = ask.bounds();
        const { images, audioBytes, files } = bounds;
        const usage = readUsage(recorded);
        if (usage === undefined || images + audioBytes + files > 0 || runsTools(recorded)) continue;
        compared += 1;
        const most = boundAsk(ask, bounds, recorded.target, undefined).input;
        const tokens = sumInputTokens(usage);
        if (tokens > most) wrong.push([recorded.name, tokens, most]);
      }
      expect(wrong).toEqual([]);
      expect(compared).toBeGreaterThan(200);
    });

    it("never counted more output than could be seen, where all is seen that is billed", () => {
      let compared = 0;
      const wrong: unknown[] = [];
      for (const { name, dialect, req, res, target } of streams) {
        const ask = dialect.client.readAsk(req, 1);
        if (!showsAll(ask, ask.bounds().choices, target)) continue;
        const reader = dialect.vendor.createStreamReader(ask);
        let most = 64;
        let usage: Usage | undefined;
        try {
          const chunk = reader.read(Buffer.from(res));
          most += chunk?.producedMost?.() ?? 0;
          usage = reader.end().usage;
        } catch (error) {
          // A stream that broke has counted nothing.
          if (error instanceof MeshError) continue;
          throw error;
        }
        if (usage === undefined) continue;
        compared += 1;
        const tokens = sumOutputTokens(usage);
        if (tokens > most) wrong.push([name, tokens, most]);
      }
      expect(wrong).toEqual([]);
      expect(compared).toBeGreaterThan(20);
    });

    it("had the limits that their bounds say", () => {
      for (const recorded of answers) {
        const { max_tokens: one, max_completion_tokens: other } = recorded.req;
        expect(readAsk(recorded).bounds().outputTokensMax).toBe(other ?? one ?? undefined);
      }
    });

    for (const dialect of [openaiChat, anthropicChat]) {
      it(`go to ${dialect.name} with a cap, passed on or translated`, () => {
        let written = 0;
        for (const recorded of answers) {
          const ask = readAsk(recorded);
          const typed = createChatAsk(ask.chat(), ask.stream, ask.bytes);
          for (const each of [ask, typed]) {
            const sent = write(dialect, each, recorded.target);
            if (sent === undefined) continue;
            written += 1;
            expect([recorded.name, readCap(sent)]).toEqual([recorded.name, 16]);
          }
        }
        expect(written).toBeGreaterThan(300);
      });
    }
  },
);

/** Undefined where a dialect cannot say what is asked. */
function write({ vendor }: ChatDialect, ask: ChatAsk, target: Target): JsonObject | undefined {
  try {
    return JSON.parse(vendor.writeRequest(ask, target, [], 16).body);
  } catch (error) {
    if (error instanceof MeshError && error.reason === "INVALID_REQUEST") return undefined;
    throw error;
  }
}

/** The most that a body lets any vendor produce; thoughts count. */
function readCap({ max_tokens: one, max_completion_tokens: other, thinking }: JsonObject): number {
  const limits = [one, other].filter((limit) => typeof limit === "number");
  const budget = isJsonObject(thinking) ? thinking.budget_tokens : undefined;
  if (typeof budget === "number") limits.push(budget);
  return Math.max(...limits);
}
