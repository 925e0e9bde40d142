import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Role } from "../../../../gen/weir/v1/chat_pb.ts";
import { CreateChatRequestSchema } from "../../../../gen/weir/v1/chat_service_pb.ts";
import { arbitraryMessage } from "./arbitrary-message.ts";
import { decodeChat } from "./decode-chat.ts";

const requests = arbitraryMessage(CreateChatRequestSchema);
const encoded = requests.map((request) => Buffer.from(toBinary(CreateChatRequestSchema, request)));

/** What became of an attempt to decode, so that two attempts can be compared. */
function attempt(decode: () => unknown): { readonly value: unknown } | { readonly error: string } {
  try {
    return { value: decode() };
  } catch (thrown) {
    return { error: String(thrown) };
  }
}

const DROP = { readUnknownFields: false };

function expectSameFate(bytes: Buffer): void {
  const decoded = attempt(() => decodeChat(CreateChatRequestSchema, bytes));
  expect(decoded).toEqual(attempt(() => fromBinary(CreateChatRequestSchema, bytes, DROP).chat));
}

describe("decodeChat()", () => {
  it("decodes any request as the generic decoder does", () => {
    fc.assert(fc.property(encoded, expectSameFate));
  });

  it("accepts and refuses what the generic decoder does when a request is cut short", () => {
    const cut = fc.tuple(encoded, fc.nat()).map(([bytes, at]) => {
      return bytes.subarray(0, at % (bytes.length + 1));
    });
    fc.assert(fc.property(cut, expectSameFate));
  });

  it("accepts and refuses what the generic decoder does when bytes are changed", () => {
    const change = fc.record({ at: fc.nat(), byte: fc.integer({ min: 0, max: 255 }) });
    const changed = fc
      .tuple(encoded, fc.array(change, { minLength: 1, maxLength: 4 }))
      .map(([bytes, changes]) => {
        for (const { at, byte } of changes) if (bytes.length > 0) bytes[at % bytes.length] = byte;
        return bytes;
      });
    fc.assert(fc.property(changed, expectSameFate));
  });

  it("accepts and refuses what the generic decoder does of any bytes", () => {
    const noise = fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes));
    const framed = noise.map((bytes) => Buffer.concat([Buffer.from([0x0a, bytes.length]), bytes]));
    fc.assert(fc.property(fc.oneof(noise, framed), expectSameFate));
  });

  it("merges a chat that comes in two pieces as the generic decoder does", () => {
    const twice = fc.tuple(encoded, encoded).map((pieces) => Buffer.concat(pieces));
    fc.assert(fc.property(twice, expectSameFate));
  });

  it("keeps no field that nobody knows, on whichever way it reads", () => {
    const stray = Buffer.from([0xf8, 0x06, 0x00]);
    const message = Buffer.concat([Buffer.from([0x1a, 3]), stray]);
    const chat = Buffer.concat([stray, message]);
    const request = Buffer.concat([Buffer.from([0x0a, chat.length]), chat]);
    for (const bytes of [request, Buffer.concat([request, stray])]) {
      const decoded = decodeChat(CreateChatRequestSchema, bytes);
      expect(decoded?.messages).toHaveLength(1);
      expect(decoded?.$unknown ?? decoded?.messages[0]?.$unknown).toBeUndefined();
    }
  });

  it("limits nesting where the generic decoder does", () => {
    for (const levels of [10, 46, 47, 48, 49, 50, 60, 1000]) expectSameFate(nest(levels));
  });

  it("reads by hand what nearly all requests are made of", () => {
    const request = create(CreateChatRequestSchema, {
      chat: {
        model: "sim/text",
        messages: [
          { role: Role.SYSTEM, parts: [{ part: { case: "text", value: { text: "Be brief." } } }] },
          {
            role: Role.ASSISTANT,
            parts: [
              { part: { case: "toolCall", value: { id: "1", name: "dig", arguments: "{}" } } },
            ],
          },
          {
            role: Role.TOOL,
            parts: [
              {
                part: {
                  case: "toolResult",
                  value: {
                    toolCallId: "1",
                    parts: [{ part: { case: "text", value: { text: "Größe 😀".repeat(9) } } }],
                  },
                },
              },
            ],
          },
        ],
        sampling: { temperature: 0.7, maxTokens: 4096, seed: 7n, stop: ["."] },
        tools: [{ tool: { case: "function", value: { name: "dig", strict: true } } }],
        toolChoice: { mode: 1 },
        labels: { app: "x" },
      },
    });
    const bytes = Buffer.from(toBinary(CreateChatRequestSchema, request));
    const chat = decodeChat(CreateChatRequestSchema, bytes) ?? {};
    // The generic decoder leaves unset fields out.
    expect("audioOutput" in chat).toBe(true);
    expect("audioOutput" in (fromBinary(CreateChatRequestSchema, bytes).chat ?? {})).toBe(false);
    expect(chat).toEqual(request.chat);
  });
});

/** A request whose one part is a tool's result within a tool's result, and so on. */
function nest(levels: number): Buffer {
  let part: Buffer = Buffer.alloc(0);
  for (let level = 0; level < levels; level++) part = wrap(0x32, wrap(0x12, part));
  return wrap(0x0a, wrap(0x1a, wrap(0x12, part)));
}

function wrap(tag: number, bytes: Buffer): Buffer {
  const head = [tag];
  let rest = bytes.length;
  for (; rest > 0x7f; rest >>>= 7) head.push((rest & 0x7f) | 0x80);
  return Buffer.concat([Buffer.from([...head, rest]), bytes]);
}
