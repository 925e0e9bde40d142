import { describe, expect, it } from "vitest";
import { createEventChunk } from "../../src/mesh/chunk.ts";
import { MeshError } from "../../src/mesh/errors.ts";
import type { ChatHandler } from "../../src/mesh/rooms.ts";
import { openDoor } from "./open-door.ts";
import { decision, KEY, outcome, textEvent } from "./pretend-house.ts";

const messages = [{ role: "user", content: "Hello" }];
const question = { model: "sim/echo", messages, stream: true };

/** Says `words`, the last of them as the last chunk, and ends well or not. */
function say(words: readonly string[], failure?: MeshError): ChatHandler {
  return async (_call, _ask, sink) => {
    sink.start(decision);
    words.forEach((word, at) => {
      sink.chunk(createEventChunk([textEvent(word)], true), at === words.length - 1);
    });
    await Promise.resolve();
    if (failure !== undefined) throw failure;
    return outcome;
  };
}

async function read(chat: ChatHandler): Promise<{ status: number; text: string }> {
  const door = await openDoor({ house: { chat } });
  const answer = await door.post("/v1/chat/completions", question, { "x-api-key": KEY });
  return { status: answer.status, text: await answer.text() };
}

const broken = new MeshError("UPSTREAM_GARBLED", "The upstream's answer made no sense.");

describe("the last chunk, which is kept for the end", () => {
  for (const words of [["one"], ["one", "two"]]) {
    it(`comes before the terminal frame: ${words}`, async () => {
      const { text } = await read(say(words));
      for (const word of words) expect(text).toContain(`"content":"${word}"`);
      expect(text.endsWith("data: [DONE]\n\n")).toBe(true);
    });

    it(`is not lost when the end fails: ${words}`, async () => {
      const { status, text } = await read(say(words, broken));
      expect(status).toBe(200);
      for (const word of words) expect(text).toContain(`"content":"${word}"`);
      expect(text.indexOf("upstream_garbled")).toBeGreaterThan(text.indexOf("one"));
      expect(text).not.toContain("[DONE]");
    });
  }
});
