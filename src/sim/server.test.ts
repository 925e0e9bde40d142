import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { eventually } from "../../test/support/eventually.ts";
import { systemClock } from "../mesh/clock.ts";
import { type SimServer, startSimServer } from "./server.ts";

let server: SimServer;
let url = "";

beforeAll(async () => {
  server = await startSimServer({ host: "127.0.0.1", port: 0, clock: systemClock });
  url = `http://127.0.0.1:${server.port}`;
});

afterAll(() => server.close());

describe("startSimServer(): the OpenAI client", () => {
  it("gets an answer", async () => {
    const answer = await openai().chat.completions.create({
      model: "echo",
      messages: [user("Grüße 🌊")],
    });
    expect(answer.choices[0]?.message.content).toBe("Grüße 🌊");
    expect(answer.id).toMatch(/sim-[0-9a-f]{8}$/);
    expect(answer.choices[0]?.finish_reason).toBe("stop");
    expect(answer.usage).toMatchObject({ prompt_tokens: 3, completion_tokens: 3, total_tokens: 6 });
  });

  it("gets a stream with its usage", async () => {
    const stream = await openai().chat.completions.create({
      model: "echo",
      messages: [user("one two three")],
      stream: true,
      stream_options: { include_usage: true },
    });
    let text = "";
    let tokens: number | undefined;
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? "";
      tokens = chunk.usage?.completion_tokens ?? tokens;
    }
    expect(text).toBe("one two three");
    expect(tokens).toBe(4);
  });

  it("gets a tool call, plain and streamed alike", async () => {
    const body = {
      model: "text",
      messages: [user("weather?")],
      tools: [
        {
          type: "function" as const,
          function: {
            name: "weather",
            parameters: {
              type: "object",
              properties: { city: { type: "string" } },
              required: ["city"],
            },
          },
        },
      ],
      tool_choice: "required" as const,
    };
    const plain = await openai().chat.completions.create(body);
    const streamed = await openai().chat.completions.stream(body).finalChatCompletion();
    const call = plain.choices[0]?.message.tool_calls?.[0];
    expect(call).toMatchObject({ type: "function", function: { name: "weather" } });
    expect(streamed.choices[0]?.message.tool_calls?.[0]).toMatchObject({ ...call });
  });

  it("gets vectors", async () => {
    const answer = await openai().embeddings.create({
      model: "embed",
      input: ["a", "b"],
      dimensions: 8,
    });
    expect(answer.data.map((each) => each.embedding.length)).toEqual([8, 8]);
  });

  it("gets errors as its own classes", async () => {
    const ask = (sim: object) =>
      openai().chat.completions.create({ model: "text", messages: [user("x")], ...{ sim } });
    await expect(ask({ fault: "status:429", retry_after_s: 3 })).rejects.toMatchObject({
      status: 429,
    });
    await expect(ask({ fault: "context_length" })).rejects.toMatchObject({
      status: 400,
      code: "context_length_exceeded",
    });
    await expect(ask({ speed: 1 })).rejects.toMatchObject({
      status: 400,
      param: "sim.speed",
    });
    await expect(
      openai().chat.completions.create({ model: "gpt-4o", messages: [user("x")] }),
    ).rejects.toMatchObject({ status: 404 });
  });

  it("lists the models", async () => {
    const models = [];
    for await (const model of openai().models.list()) models.push(model.id);
    expect(models).toEqual(["echo", "text", "embed"]);
  });
});

describe("startSimServer(): the Anthropic client", () => {
  const ask = { model: "echo", max_tokens: 100, messages: [user("Grüße 🌊")] };

  it("gets an answer", async () => {
    const answer = await anthropic().messages.create(ask);
    expect(answer.content).toMatchObject([{ type: "text", text: "Grüße 🌊" }]);
    expect(answer.stop_reason).toBe("end_turn");
    expect(answer.usage).toMatchObject({ input_tokens: 3, output_tokens: 3 });
  });

  it("gets a stream", async () => {
    const answer = await anthropic().messages.stream(ask).finalMessage();
    expect(answer.content).toMatchObject([{ type: "text", text: "Grüße 🌊" }]);
    expect(answer.usage.output_tokens).toBe(3);
  });

  it("learns the prompt's tokens from the first frame", async () => {
    const stream = await anthropic().messages.create({ ...ask, stream: true });
    for await (const event of stream) {
      if (event.type === "message_start") expect(event.message.usage.input_tokens).toBe(3);
    }
  });

  it("gets a tool call from a stream", async () => {
    const answer = await anthropic()
      .messages.stream({
        ...ask,
        tools: [
          { name: "gate", input_schema: { type: "object", properties: { n: { const: 3 } } } },
        ],
        tool_choice: { type: "any" },
      })
      .finalMessage();
    expect(answer.content).toMatchObject([{ type: "tool_use", name: "gate", input: { n: 3 } }]);
    expect(answer.stop_reason).toBe("tool_use");
  });

  it("counts a prompt", async () => {
    const { model, messages } = ask;
    expect(await anthropic().messages.countTokens({ model, messages })).toMatchObject({
      input_tokens: 3,
    });
  });
});

describe("startSimServer(): the wire", () => {
  it("leaves out usage and the last frame when told to", async () => {
    expect(await stream("text?fault=no_usage")).not.toContain('"usage":{');
    expect(await stream("text?fault=no_usage")).toContain("[DONE]");
    const cut = await stream("text?fault=no_done");
    expect(cut).not.toContain("[DONE]");
    expect(cut).toContain('"finish_reason":"stop"');
  });

  it("sends an error as the first event when told to", async () => {
    expect(await stream("text?fault=error_event")).toMatch(/^data: \{"error":/);
  });

  it("keeps to the pace", async () => {
    const startedMs = performance.now();
    await stream("text?ttft_ms=50&tps=100&tokens=6");
    expect(performance.now() - startedMs).toBeGreaterThan(95);
  });

  it("sees that a client left, long before its stream would have ended", async () => {
    const before = server.stats().aborted;
    const abort = new AbortController();
    const response = await post({ model: "text?tps=10&tokens=5000", stream: true }, abort.signal);
    await response.body?.getReader().read();
    const startedWallMs = Date.now();
    abort.abort();
    await eventually(() => expect(server.stats().aborted).toBe(before + 1));
    expect(server.stats().lastAbortWallMs).toBeGreaterThanOrEqual(startedWallMs);
    expect(server.stats().active).toBe(0);
    const told = await (await fetch(`${url}/sim/stats`)).json();
    expect(told).toEqual(server.stats());
  });

  it("explains what it cannot read", async () => {
    const bad: Array<[string, string, number]> = [
      ["/v1/chat/completions", "{", 400],
      ["/v1/chat/completions", "[]", 400],
      ["/v1/messages", "{}", 400],
      ["/v1/nothing", "{}", 404],
    ];
    for (const [path, body, status] of bad) {
      const response = await fetch(url + path, { method: "POST", body });
      expect(response.status).toBe(status);
      expect(await response.json()).toHaveProperty("error");
    }
  });
});

function openai(): OpenAI {
  return new OpenAI({ apiKey: "any", baseURL: `${url}/v1`, maxRetries: 0 });
}

function anthropic(): Anthropic {
  return new Anthropic({ apiKey: "any", baseURL: url, maxRetries: 0 });
}

function user(content: string) {
  return { role: "user" as const, content };
}

function post(fields: object, signal?: AbortSignal): Promise<Response> {
  const body = JSON.stringify({ messages: [user("x")], ...fields });
  return fetch(`${url}/v1/chat/completions`, { method: "POST", body, signal: signal ?? null });
}

async function stream(model: string): Promise<string> {
  const options = { include_usage: true };
  return await (await post({ model, stream: true, stream_options: options })).text();
}
