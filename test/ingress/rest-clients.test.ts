import Anthropic from "@anthropic-ai/sdk";
import { create } from "@bufbuild/protobuf";
import OpenAI from "openai";
import { describe, expect, it } from "vitest";
import { CreateChatResponseSchema } from "../../gen/weir/v1/chat_service_pb.ts";
import { MeshError } from "../../src/mesh/errors.ts";
import type { ChatHandler } from "../../src/mesh/rooms.ts";
import { type DoorChanges, openDoor } from "./open-door.ts";
import { decision, echo, KEY, outcome, textEvent } from "./pretend-house.ts";

const messages = [{ role: "user" as const, content: "Hello" }];
const question = { model: "sim/echo", messages };
const anthropicQuestion = { ...question, max_tokens: 10 };

async function openaiAt(changes: DoorChanges = {}, apiKey = KEY): Promise<OpenAI> {
  const door = await openDoor(changes);
  return new OpenAI({ baseURL: `${door.url}/v1`, apiKey, maxRetries: 0 });
}

async function anthropicAt(changes: DoorChanges = {}, apiKey = KEY): Promise<Anthropic> {
  const door = await openDoor(changes);
  return new Anthropic({ baseURL: door.url, apiKey, maxRetries: 0 });
}

/** A chat that says one word and then does `then`. */
function sayOnce(then: () => Promise<never>): ChatHandler {
  return async (_call, _ask, sink) => {
    sink.start(decision);
    const events = [textEvent("one")];
    sink.chunk({ wire: undefined, content: true, answer: undefined, events: () => events });
    return await then();
  };
}

describe("the openai client", () => {
  it("gets a whole answer", async () => {
    const client = await openaiAt();
    const { data, response } = await client.chat.completions.create(question).withResponse();
    expect(data.choices[0]?.message.content).toBe("Hello, weir");
    expect(response.headers.get("x-weir-target")).toBe("sim/echo");
    expect(response.headers.get("x-weir-cost-usd")).toBe("0.00015");
    expect(response.headers.get("x-weir-attempts")).toBe("2");
    expect(response.headers.get("x-weir-cache")).toBe("miss");
    expect(response.headers.get("x-weir-policy-revision")).toBe("4");
    expect(response.headers.get("x-request-id")).toMatch(/^req_[0-9a-f]{32}$/);
  });

  it("gets a stream", async () => {
    const client = await openaiAt();
    const stream = await client.chat.completions.create({ ...question, stream: true });
    let text = "";
    for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? "";
    expect(text).toBe("Hello, weir");
  });

  it("gets an upstream's own bytes in its own dialect", async () => {
    const chat: ChatHandler = async (_call, _ask, sink) => {
      sink.start(decision);
      const bytes = Buffer.from('data: {"choices":[{"delta":{"content":"raw"}}],"extra":1}\n\n');
      sink.chunk({
        wire: { dialect: "openai", bytes },
        content: true,
        answer: undefined,
        events: () => {
          throw new Error("nobody needs them");
        },
      });
      return outcome;
    };
    const door = await openDoor({ house: { chat } });
    const headers = { authorization: `Bearer ${KEY}` };
    const response = await door.post(
      "/v1/chat/completions",
      { ...question, stream: true },
      headers,
    );
    expect(response.headers.get("content-type")).toContain("text/event-stream");
    expect(await response.text()).toBe(
      'data: {"choices":[{"delta":{"content":"raw"}}],"extra":1}\n\ndata: [DONE]\n\n',
    );
  });

  it("gets an upstream's own body as it is, and another dialect's answer written anew", async () => {
    const bytes = Buffer.from('{"choices":[{"message":{"content":"raw"}}],"extra":1.0}');
    const answer = () =>
      create(CreateChatResponseSchema, {
        choices: [{ message: { parts: [{ part: { case: "text", value: { text: "told" } } }] } }],
      });
    for (const dialect of ["openai", "anthropic"] as const) {
      const chat: ChatHandler = async (_call, _ask, sink) => {
        sink.start(decision);
        sink.chunk({ wire: { dialect, bytes }, content: true, answer, events: () => [] });
        return outcome;
      };
      const door = await openDoor({ house: { chat } });
      const headers = { authorization: `Bearer ${KEY}` };
      const text = await (await door.post("/v1/chat/completions", question, headers)).text();
      if (dialect === "openai") expect(text).toBe(bytes.toString());
      else expect(JSON.parse(text).choices[0].message.content).toBe("told");
    }
  });

  it("gets the old completions, whole and as a stream", async () => {
    const client = await openaiAt();
    const asked = { model: "sim/echo", prompt: "Hello" };
    expect((await client.completions.create(asked)).choices[0]?.text).toBe("Hello, weir");
    let text = "";
    for await (const chunk of await client.completions.create({ ...asked, stream: true })) {
      text += chunk.choices[0]?.text ?? "";
    }
    expect(text).toBe("Hello, weir");
  });

  it("lists models", async () => {
    const client = await openaiAt();
    const page = await client.models.list();
    expect(page.data.map((model) => model.id)).toEqual(["sim/echo"]);
    expect(page.data[0]).toMatchObject({
      context_length: 8192,
      pricing: { prompt: "0.00000015", completion: "0.0000006" },
    });
  });

  it("finds a model by a name with a slash", async () => {
    const client = await openaiAt();
    expect((await client.models.retrieve("sim/echo")).created).toBe(1_700_000_000);
    await expect(client.models.retrieve("no/such")).rejects.toBeInstanceOf(OpenAI.NotFoundError);
  });

  it("gets embeddings", async () => {
    const client = await openaiAt();
    const answer = await client.embeddings.create({
      model: "sim/embed",
      input: "x",
      encoding_format: "float",
    });
    expect(answer.data[0]?.embedding).toEqual([0.5, -1]);
  });

  it("tells an unknown key", async () => {
    const client = await openaiAt({}, "wk_wrong");
    const error = await client.chat.completions.create(question).catch((thrown) => thrown);
    expect(error).toBeInstanceOf(OpenAI.AuthenticationError);
    expect(error.code).toBe("credential_unknown");
    expect(error.headers.get("www-authenticate")).toContain("Bearer");
  });

  it("maps each reason to its own class of error", async () => {
    const classes = [
      ["INVALID_REQUEST", OpenAI.BadRequestError],
      ["MODEL_NOT_ALLOWED", OpenAI.PermissionDeniedError],
      ["MODEL_NOT_FOUND", OpenAI.NotFoundError],
      ["RATE_LIMITED", OpenAI.RateLimitError],
      ["UPSTREAM_FAILED", OpenAI.InternalServerError],
    ] as const;
    for (const [reason, expected] of classes) {
      const chat = () => Promise.reject(new MeshError(reason, "No."));
      const client = await openaiAt({ house: { chat } });
      for (const stream of [false, true]) {
        const error = await client.chat.completions
          .create({ ...question, stream })
          .catch((thrown) => thrown);
        expect(error, reason).toBeInstanceOf(expected);
      }
    }
  });

  it("hears what was left out, in one header without line breaks", async () => {
    const chat: ChatHandler = (call, ask, sink) => {
      call.trail.warnings.push("top_k is unknown to this target", "so is naïve\r\nset-cookie: a");
      return echo(call, ask, sink);
    };
    const client = await openaiAt({ house: { chat } });
    const { response } = await client.chat.completions.create(question).withResponse();
    expect(response.headers.get("x-weir-warnings")).toBe(
      "top_k is unknown to this target; so is na?ve??set-cookie: a",
    );
    expect(response.headers.get("set-cookie")).toBeNull();
  });

  it("is told not to repeat what cannot succeed, with the headers of every answer", async () => {
    const chat = () => Promise.reject(new MeshError("BUDGET_EXHAUSTED", "The budget is spent."));
    const client = await openaiAt({ house: { chat } });
    const error = await client.chat.completions.create(question).catch((thrown) => thrown);
    expect(error.status).toBe(429);
    expect(error.headers.get("x-should-retry")).toBe("false");
    expect(error.headers.get("retry-after")).toBe("1");
    expect(error.headers.get("x-weir-attempts")).toBe("0");
    expect(error.headers.get("x-weir-policy-revision")).toBe("3");
    expect(error.headers.get("x-weir-overhead-us")).toMatch(/^[0-9]+$/);
    expect(error.headers.get("x-request-id")).toMatch(/^req_/);
  });

  it("hears when to come back on each 429 and 503", async () => {
    for (const [reason, advice] of [
      ["RATE_LIMITED", "3"],
      ["NO_TARGET", "3"],
    ] as const) {
      const error = new MeshError(reason, "Later.", { retryAfterMs: 2_001 });
      const client = await openaiAt({ house: { chat: () => Promise.reject(error) } });
      const seen = await client.chat.completions.create(question).catch((thrown) => thrown);
      expect(seen.headers.get("retry-after")).toBe(advice);
    }
  });

  it("sees an error after the first chunk as an error of the stream", async () => {
    const chat = sayOnce(() => Promise.reject(new MeshError("UPSTREAM_FAILED", "It broke.")));
    const client = await openaiAt({ house: { chat } });
    const stream = await client.chat.completions.create({ ...question, stream: true });
    const read = async () => {
      let text = "";
      for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? "";
      return text;
    };
    await expect(read()).rejects.toThrow("It broke.");
  });

  it("cancels the call when it aborts a stream", async () => {
    const cancelled = Promise.withResolvers<Error>();
    const chat: ChatHandler = (call, _ask, sink) => {
      call.cancellation.onCancel(cancelled.resolve);
      return sayOnce(() => cancelled.promise.then((cause) => Promise.reject(cause)))(
        call,
        _ask,
        sink,
      );
    };
    const client = await openaiAt({ house: { chat } });
    const stream = await client.chat.completions.create({ ...question, stream: true });
    for await (const chunk of stream) {
      if (chunk.choices[0]?.delta.content === "one") stream.controller.abort();
    }
    expect(await cancelled.promise).toMatchObject({ reason: "CALLER_GONE" });
  });

  it("cancels the call when it aborts a whole answer", async () => {
    const begun = Promise.withResolvers<void>();
    const cancelled = Promise.withResolvers<Error>();
    const chat: ChatHandler = async (call) => {
      call.cancellation.onCancel(cancelled.resolve);
      begun.resolve();
      throw await cancelled.promise;
    };
    const client = await openaiAt({ house: { chat } });
    const controller = new AbortController();
    const answer = client.chat.completions.create(question, { signal: controller.signal });
    await begun.promise;
    controller.abort();
    await expect(answer).rejects.toBeInstanceOf(OpenAI.APIUserAbortError);
    expect(await cancelled.promise).toMatchObject({ reason: "CALLER_GONE" });
  });

  it("passes its timeout on as the deadline of a whole answer, not of a stream", async () => {
    const deadlines: Array<number | undefined> = [];
    const chat: ChatHandler = (call, ask, sink) => {
      deadlines.push(call.deadlineMs === undefined ? undefined : call.deadlineMs - call.startedMs);
      return echo(call, ask, sink);
    };
    const client = await openaiAt({ house: { chat } });
    await client.chat.completions.create(question, { timeout: 50_000 });
    await client.chat.completions.create({ ...question, stream: true }, { timeout: 50_000 });
    await client.chat.completions.create(question, { headers: { "x-weir-timeout-ms": "70000" } });
    expect(deadlines).toEqual([50_000, undefined, 70_000]);
  });
});

describe("the anthropic client", () => {
  it("gets a whole answer", async () => {
    const client = await anthropicAt();
    const answer = await client.messages.create(anthropicQuestion);
    expect(answer.content).toEqual([{ type: "text", text: "Hello, weir" }]);
  });

  it("gets a stream", async () => {
    const client = await anthropicAt();
    const message = await client.messages.stream(anthropicQuestion).finalMessage();
    expect(message.content).toEqual([{ type: "text", text: "Hello, weir" }]);
    expect(message.stop_reason).toBe("end_turn");
  });

  it("finds the request's id where its vendor puts it", async () => {
    const client = await anthropicAt();
    const answer = await client.messages.create(anthropicQuestion);
    expect(answer._request_id).toMatch(/^req_[0-9a-f]{32}$/);
    const chat = () => Promise.reject(new MeshError("UPSTREAM_FAILED", "No."));
    const failing = await anthropicAt({ house: { chat } });
    const error = await failing.messages.create(anthropicQuestion).catch((thrown) => thrown);
    expect(error.requestID).toMatch(/^req_[0-9a-f]{32}$/);
  });

  it("counts tokens", async () => {
    const client = await anthropicAt();
    expect(await client.messages.countTokens(question)).toEqual({ input_tokens: 7 });
  });

  it("has its betas passed on with its body, and no other header", async () => {
    let seen: unknown;
    const chat: ChatHandler = (call, ask, sink) => {
      seen = ask.wireHeaders;
      return echo(call, ask, sink);
    };
    const client = await anthropicAt({ house: { chat } });
    await client.messages.create(anthropicQuestion, { headers: { "anthropic-beta": "b-1,b-2" } });
    expect(seen).toEqual({ "anthropic-version": expect.any(String), "anthropic-beta": "b-1,b-2" });
  });

  it("lists models in its own form", async () => {
    const client = await anthropicAt();
    const page = await client.models.list();
    expect(page.data).toMatchObject([{ type: "model", id: "sim/echo", max_input_tokens: 8192 }]);
    expect((await client.models.retrieve("sim/echo")).display_name).toBe("sim/echo");
  });

  it("sees its own classes of error", async () => {
    const client = await anthropicAt({}, "wk_wrong");
    const error = await client.messages.create(anthropicQuestion).catch((thrown) => thrown);
    expect(error).toBeInstanceOf(Anthropic.AuthenticationError);
    expect(error.error).toMatchObject({ type: "error", error: { type: "authentication_error" } });
  });

  it("sees an error after the first chunk", async () => {
    const chat = sayOnce(() => Promise.reject(new MeshError("UPSTREAM_FAILED", "It broke.")));
    const client = await anthropicAt({ house: { chat } });
    await expect(client.messages.stream(anthropicQuestion).finalMessage()).rejects.toThrow(
      "It broke.",
    );
  });
});
