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

const wired = Buffer.from(
  'data: {"choices":[{"index":0,"delta":{"content":"é"}}]}\n\n'.repeat(900),
);

/** Passes on `before` and then `wired` as the last chunk. */
function passOn(before: Buffer | undefined, failure?: MeshError): ChatHandler {
  return async (_call, _ask, sink) => {
    sink.start(decision);
    for (const bytes of before === undefined ? [wired] : [before, wired]) {
      const wire = { dialect: "openai", bytes } as const;
      sink.chunk({ wire, content: true, events: () => [], answer: undefined }, bytes === wired);
    }
    if (failure !== undefined) throw failure;
    return outcome;
  };
}

describe("a last chunk that is passed on as it came", () => {
  const text = wired.toString();
  for (const before of [undefined, Buffer.from(": first\n\n")]) {
    const name = before === undefined ? "all there is" : "not all there is";

    it(`is whole, and the terminal frame is behind it: ${name}`, async () => {
      const answer = await read(passOn(before));
      expect(answer).toEqual({ status: 200, text: `${before ?? ""}${text}data: [DONE]\n\n` });
    });

    it(`comes before the error of a stream that breaks: ${name}`, async () => {
      const answer = await read(passOn(before, broken));
      expect(answer.status).toBe(200);
      expect(answer.text.startsWith(`${before ?? ""}${text}`)).toBe(true);
      const rest = answer.text.slice((before?.length ?? 0) + text.length);
      expect(rest).toContain("upstream_garbled");
      expect(rest).not.toContain("[DONE]");
    });

    it(`is whole for a client of HTTP/1.0: ${name}`, async () => {
      const door = await openDoor({ house: { chat: passOn(before) } });
      const body = JSON.stringify(question);
      const head = `POST /v1/chat/completions HTTP/1.0\r\nx-api-key: ${KEY}\r\n`;
      const answer = await door.raw(`${head}content-length: ${body.length}\r\n\r\n${body}`);
      const sent = answer.slice(answer.indexOf("\r\n\r\n") + 4);
      expect(sent).toBe(`${before ?? ""}${text}data: [DONE]\n\n`);
    });

    it(`is whole on HTTP/2: ${name}`, async () => {
      const door = await openDoor({ house: { chat: passOn(before) } });
      const stream = door.http2().request({
        ":method": "POST",
        ":path": "/v1/chat/completions",
        "x-api-key": KEY,
      });
      stream.end(JSON.stringify(question));
      const pieces: Buffer[] = await stream.toArray();
      const sent = Buffer.concat(pieces).toString();
      expect(sent).toBe(`${before ?? ""}${text}data: [DONE]\n\n`);
    });
  }
});
