import { describe, expect, it } from "vitest";
import type { ChatHandler } from "../../src/mesh/rooms.ts";
import { openDoor } from "./open-door.ts";
import { decision, KEY, outcome } from "./pretend-house.ts";

const question = { model: "sim/echo", messages: [{ role: "user", content: "Hello" }] };

/** Passes a whole answer on as it came. */
function passOn(bytes: Buffer): ChatHandler {
  return async (_call, _ask, sink) => {
    sink.start(decision);
    sink.chunk({
      wire: { dialect: "openai", bytes },
      content: true,
      events: () => [],
      answer: () => {
        throw new Error("nobody shall decode it");
      },
    });
    return outcome;
  };
}

describe("a whole answer that is passed on as it came", () => {
  for (const [size, times] of [
    ["small", 1],
    ["large", 9000],
  ] as const) {
    const sent = Buffer.from(JSON.stringify({ text: "é→🙂\u2028".repeat(times) }));

    it(`arrives byte by byte: ${size}`, async () => {
      const door = await openDoor({ house: { chat: passOn(sent) } });
      const answer = await door.post("/v1/chat/completions", question, { "x-api-key": KEY });
      expect(answer.headers.get("content-length")).toBe(String(sent.length));
      expect(Buffer.from(await answer.arrayBuffer()).equals(sent)).toBe(true);
    });

    it(`arrives byte by byte on HTTP/2: ${size}`, async () => {
      const door = await openDoor({ house: { chat: passOn(sent) } });
      const path = "/v1/chat/completions";
      const stream = door.http2().request({ ":method": "POST", ":path": path, "x-api-key": KEY });
      stream.end(JSON.stringify(question));
      const pieces: Buffer[] = await stream.toArray();
      expect(Buffer.concat(pieces).equals(sent)).toBe(true);
    });
  }
});
