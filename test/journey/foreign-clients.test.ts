import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { endAll, KEY, startWeir, type WeirProcess } from "../support/weir-process.ts";

let weir: WeirProcess;

beforeAll(async () => {
  weir = await startWeir();
});
afterAll(endAll);

const messages = [{ role: "user" as const, content: "Grüße, Wehr! 🌊" }];
const weather = {
  type: "object",
  properties: { city: { type: "string" }, days: { type: "integer" } },
  required: ["city", "days"],
  additionalProperties: false,
};

function openai(apiKey = KEY): OpenAI {
  return new OpenAI({ baseURL: `${weir.url}/v1`, apiKey, maxRetries: 0, timeout: 60_000 });
}

function anthropic(apiKey = KEY): Anthropic {
  return new Anthropic({ baseURL: weir.url, apiKey, maxRetries: 0, timeout: 60_000 });
}

describe("the openai package", () => {
  const tools = [{ type: "function" as const, function: { name: "weather", parameters: weather } }];

  it("chats", async () => {
    const asked = openai().chat.completions.create({ model: "sim/echo", messages });
    const { data, response } = await asked.withResponse();
    expect(data.object).toBe("chat.completion");
    expect(data.choices[0]?.message.content).toBe("Grüße, Wehr! 🌊");
    expect(data.choices[0]?.finish_reason).toBe("stop");
    const { prompt_tokens: input = 0, completion_tokens: output = 0 } = data.usage ?? {};
    expect(input).toBeGreaterThan(0);
    expect(data.usage?.total_tokens).toBe(input + output);
    expect(response.headers.get("x-request-id")).toMatch(/^req_[0-9a-f]{32}$/);
    expect(response.headers.get("x-weir-target")).toBe("sim/echo");
  });

  it("streams, with usage only when it asks for it", async () => {
    for (const asked of [true, false]) {
      const stream = await openai().chat.completions.create({
        model: "sim/text",
        messages,
        stream: true,
        ...(asked ? { stream_options: { include_usage: true } } : {}),
      });
      let text = "";
      let usages = 0;
      let finish: string | null | undefined;
      for await (const chunk of stream) {
        text += chunk.choices[0]?.delta.content ?? "";
        finish = chunk.choices[0]?.finish_reason ?? finish;
        if (chunk.usage) usages += 1;
      }
      expect(text.length).toBeGreaterThan(20);
      expect(finish).toBe("stop");
      expect(usages).toBe(asked ? 1 : 0);
    }
  });

  it("gets tool calls, whole and streamed, and answers them", async () => {
    const ask = { model: "sim/tools", messages, tools };
    const whole = await openai().chat.completions.create(ask);
    const call = whole.choices[0]?.message.tool_calls?.[0];
    if (call?.type !== "function") return expect.fail("no tool call");
    expect(whole.choices[0]?.finish_reason).toBe("tool_calls");
    expect(call.function.name).toBe("weather");
    expect(Object.keys(JSON.parse(call.function.arguments)).sort()).toEqual(["city", "days"]);

    const streamed = await openai().chat.completions.stream(ask).finalChatCompletion();
    const again = streamed.choices[0]?.message.tool_calls?.[0];
    expect(again?.type === "function" && again.function).toMatchObject(call.function);

    const closing = await openai().chat.completions.create({
      model: "sim/text",
      tools,
      messages: [
        ...messages,
        { role: "assistant", tool_calls: [call] },
        { role: "tool", tool_call_id: call.id, content: "sunny" },
      ],
    });
    expect(closing.choices[0]?.finish_reason).toBe("stop");
  });

  it("gets JSON by a schema", async () => {
    const answer = await openai().chat.completions.create({
      model: "sim/text",
      messages,
      response_format: {
        type: "json_schema",
        json_schema: { name: "weather", schema: weather, strict: true },
      },
    });
    const said = JSON.parse(answer.choices[0]?.message.content ?? "");
    expect(said).toEqual({ city: expect.any(String), days: expect.any(Number) });
  });

  it("embeds, in the package's own base64 and in floats", async () => {
    const ask = { model: "sim/embed", input: ["one", "two"], dimensions: 8 };
    const packed = await openai().embeddings.create(ask);
    const plain = await openai().embeddings.create({ ...ask, encoding_format: "float" });
    expect(packed.data.map(({ index }) => index)).toEqual([0, 1]);
    for (const [at, { embedding }] of plain.data.entries()) {
      expect(embedding).toHaveLength(8);
      const floats = packed.data[at]?.embedding ?? [];
      embedding.forEach((value, i) => {
        expect(floats[i]).toBeCloseTo(value, 6);
      });
    }
    expect(packed.usage.prompt_tokens).toBeGreaterThan(0);
  });

  it("completes text", async () => {
    const answer = await openai().completions.create({ model: "sim/echo", prompt: "once upon" });
    expect(answer.choices[0]?.text).toBe("once upon");
    const stream = await openai().completions.create({
      model: "sim/echo",
      prompt: "once upon",
      stream: true,
    });
    let text = "";
    for await (const part of stream) text += part.choices[0]?.text ?? "";
    expect(text).toBe("once upon");
  });

  it("lists models", async () => {
    const names: string[] = [];
    for await (const model of openai().models.list()) names.push(model.id);
    expect(names.sort()).toEqual(["sim/echo", "sim/embed", "sim/text", "sim/tools"]);
    expect((await openai().models.retrieve("sim/echo")).id).toBe("sim/echo");
  });

  it("throws its own errors", async () => {
    const create = (client: OpenAI, model: string) =>
      client.chat.completions.create({ model, messages });
    const stranger = create(openai(`wk_${"x".repeat(40)}`), "sim/echo");
    await expect(stranger).rejects.toThrow(OpenAI.AuthenticationError);
    await expect(create(openai(), "no/such")).rejects.toThrow(OpenAI.NotFoundError);
    const wrong = openai().chat.completions.create({
      model: "sim/echo",
      messages,
      temperature: "hot" as unknown as number,
    });
    // The echo speaks the typed dialect, so that what goes there is read and checked.
    await expect(wrong).rejects.toMatchObject({ status: 400, param: "temperature" });
  });
});

describe("the Anthropic package", () => {
  const ask = { model: "sim/echo", messages, max_tokens: 500 };
  const tools = [{ name: "weather", input_schema: { ...weather, type: "object" as const } }];

  it("gets a message", async () => {
    const message = await anthropic().messages.create(ask);
    expect(message.content).toMatchObject([{ type: "text", text: "Grüße, Wehr! 🌊" }]);
    expect(message.stop_reason).toBe("end_turn");
    expect(message.usage.input_tokens).toBeGreaterThan(0);
    expect(message.usage.output_tokens).toBeGreaterThan(0);
  });

  it("streams", async () => {
    const whole = await anthropic().messages.create({ ...ask, model: "sim/text" });
    const message = await anthropic()
      .messages.stream({ ...ask, model: "sim/text" })
      .finalMessage();
    expect(message.content).toEqual(whole.content);
    expect(message.stop_reason).toBe(whole.stop_reason);
    expect(message.usage.output_tokens).toBe(whole.usage.output_tokens);
  });

  it("gets tool calls, whole and streamed", async () => {
    const toolAsk = { ...ask, model: "sim/tools", tools };
    const whole = await anthropic().messages.create(toolAsk);
    const streamed = await anthropic().messages.stream(toolAsk).finalMessage();
    for (const { content, stop_reason } of [whole, streamed]) {
      expect(stop_reason).toBe("tool_use");
      const call = content.find(({ type }) => type === "tool_use");
      expect(call).toMatchObject({ name: "weather", input: { city: expect.any(String) } });
    }
  });

  it("counts tokens", async () => {
    const { max_tokens: _, ...counted } = ask;
    const { input_tokens: count } = await anthropic().messages.countTokens(counted);
    const message = await anthropic().messages.create(ask);
    expect(count).toBe(message.usage.input_tokens);
  });

  it("throws its own errors", async () => {
    const stranger = anthropic(`wk_${"x".repeat(40)}`).messages.create(ask);
    await expect(stranger).rejects.toThrow(Anthropic.AuthenticationError);
    const nowhere = anthropic().messages.create({ ...ask, model: "no/such" });
    await expect(nowhere).rejects.toThrow(Anthropic.NotFoundError);
  });
});
