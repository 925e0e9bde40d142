import { create } from "@bufbuild/protobuf";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type Chat,
  ChatSchema,
  type ContentPart,
  ContentPartSchema,
  Role,
} from "../../gen/weir/v1/chat_pb.ts";
import { createTestTarget } from "../../test/support/targets.ts";
import type { AskBounds, ChatAsk } from "../mesh/ask.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "../mesh/json.ts";
import { anthropicChat } from "./anthropic/index.ts";
import { openaiChat, openaiCompletions } from "./openai/index.ts";
import { createChatAsk } from "./typed-ask.ts";

const nothing: AskBounds = {
  outputTokensMax: undefined,
  choices: 1,
  images: 0,
  sounds: 0,
  audioBytes: 0,
  files: 0,
  filesElsewhere: 0,
  fileBytes: 0,
  encodedBytes: 0,
};

const elsewhere = { files: 1, filesElsewhere: 1 };

const PDF = Buffer.from("%PDF-1.7 \xff\xfe", "latin1");
const WORDS = Buffer.from("Grüße");

function boundsOf(side: typeof openaiChat.client, body: object): AskBounds {
  const text = JSON.stringify(body);
  return side.readAsk(JSON.parse(text), Buffer.byteLength(text)).bounds();
}

describe("bounds of a body of /v1/chat/completions", () => {
  const read = (more: object) =>
    boundsOf(openaiChat.client, {
      model: "m",
      messages: [{ role: "user", content: "x" }],
      ...more,
    });
  const part = (content: object) => read({ messages: [{ role: "user", content: [content] }] });

  const limits: ReadonlyArray<readonly [object, number | undefined]> = [
    [{}, undefined],
    [{ max_tokens: 7 }, 7],
    [{ max_completion_tokens: 7, max_tokens: null }, 7],
    [{ max_completion_tokens: 7, max_tokens: 9 }, 9],
    [{ max_completion_tokens: 7, max_tokens: -1 }, 0],
    [{ max_tokens: -1 }, -1],
    [{ max_tokens: 1_000_000_000 }, 1_000_000_000],
  ];
  for (const [fields, expected] of limits) {
    it(`knows the caller's limit of ${JSON.stringify(fields)}`, () => {
      expect(read(fields).outputTokensMax).toBe(expected);
    });
  }

  const counts: ReadonlyArray<readonly [object, number]> = [
    [{}, 1],
    [{ n: 100 }, 100],
    [{ n: 0 }, 1],
    [{ n: -3 }, 1],
    [{ n: 2, best_of: 5 }, 5],
    [{ best_of: "many" }, 1],
    [{ best_of: "100" }, 100],
  ];
  for (const [fields, expected] of counts) {
    it(`counts ${expected} answers of ${JSON.stringify(fields)}`, () => {
      expect(read(fields).choices).toBe(expected);
    });
  }

  const png = PDF.toString("base64");
  const pdf = `data:application/pdf;base64,${png}`;
  const parts: ReadonlyArray<readonly [string, object, Partial<AskBounds>]> = [
    ["text", { type: "text", text: "x" }, {}],
    [
      "a picture elsewhere",
      { type: "image_url", image_url: { url: "https://x/y.png" } },
      { images: 1 },
    ],
    [
      "a picture by value",
      { type: "image_url", image_url: { url: `data:image/png;base64,${png}` } },
      { images: 1, encodedBytes: png.length },
    ],
    [
      "a picture in place of its object",
      { type: "image_url", image_url: `data:image/png;base64,${png}` },
      { images: 1, encodedBytes: png.length },
    ],
    [
      "what only claims to be a picture",
      { type: "image_url", image_url: { url: `data:text/plain;base64,${png}` } },
      { images: 1 },
    ],
    ["a picture that is none", { type: "image_url" }, { images: 1 }],
    [
      "sound",
      { type: "input_audio", input_audio: { data: png, format: "wav" } },
      { sounds: 1, audioBytes: 12, encodedBytes: png.length },
    ],
    ["sound that is none", { type: "input_audio", input_audio: 7 }, { ...elsewhere }],
    [
      "a PDF",
      { type: "file", file: { file_data: pdf } },
      { files: 1, fileBytes: 12, encodedBytes: png.length },
    ],
    [
      "a PDF that says nothing",
      { type: "file", file: { file_data: png } },
      { files: 1, fileBytes: 12, encodedBytes: png.length },
    ],
    ["a text", { type: "file", file: { file_data: WORDS.toString("base64") } }, {}],
    [
      "what calls itself text and is none",
      { type: "file", file: { file_data: "data:text/plain;base64,/////w==" } },
      { files: 1, fileBytes: 6 },
    ],
    ["an uploaded file", { type: "file", file: { file_id: "f" } }, { ...elsewhere }],
    [
      "a document elsewhere",
      { type: "file", file: { file_data: "https://x/y" } },
      { ...elsewhere },
    ],
    [
      "a kind that is not known",
      { type: "video_url", video_url: { url: "https://x" } },
      { ...elsewhere },
    ],
    ["a part without a kind", {}, { ...elsewhere }],
  ];
  for (const [name, content, expected] of parts) {
    it(`counts ${name}`, () => {
      expect(part(content)).toEqual({ ...nothing, ...expected });
    });
  }

  it("counts an earlier spoken answer, and is not upset by oddities", () => {
    const messages = [
      { role: "assistant", audio: { id: "a" }, content: null },
      { role: "user", content: [null, 7, "x", []] },
      { role: "user", content: { type: "image_url" } },
    ];
    expect(read({ messages })).toEqual({ ...nothing, ...elsewhere });
  });
});

it("bounds a body of /v1/completions", () => {
  const body = { model: "m", prompt: "x", max_tokens: 9, n: 3, best_of: 2 };
  expect(boundsOf(openaiCompletions, body)).toEqual({ ...nothing, outputTokensMax: 9, choices: 3 });
});

describe("bounds of a body of /v1/messages", () => {
  const read = (content: unknown, more: object = {}) =>
    boundsOf(anthropicChat.client, {
      model: "m",
      max_tokens: 5,
      messages: [{ role: "user", content }],
      ...more,
    });
  const data = PDF.toString("base64");
  const image = { type: "image", source: { type: "base64", media_type: "image/png", data } };
  const document = (source: object) => ({ type: "document", source });
  const pdf = document({ type: "base64", media_type: "application/pdf", data });

  const blocks: ReadonlyArray<readonly [string, unknown, Partial<AskBounds>]> = [
    ["text", "x", {}],
    ["a picture by value", [image], { images: 1, encodedBytes: data.length }],
    [
      "what only claims to be a picture",
      [{ type: "image", source: { type: "base64", media_type: "text/plain", data } }],
      { images: 1 },
    ],
    ["a picture that is none", [{ type: "image" }], { images: 1 }],
    ["a picture elsewhere", [{ type: "image", source: { type: "url", url: "x" } }], { images: 1 }],
    ["a PDF", [pdf], { files: 1, fileBytes: 12, encodedBytes: data.length }],
    ["a PDF elsewhere", [document({ type: "url", url: "https://x" })], { ...elsewhere }],
    ["an uploaded file", [document({ type: "file", file_id: "f" })], { ...elsewhere }],
    ["a text", [document({ type: "text", media_type: "text/plain", data: "x" })], {}],
    [
      "a document of blocks",
      [document({ type: "content", content: [image, { type: "text", text: "x" }] })],
      { images: 1, encodedBytes: data.length },
    ],
    [
      "what a tool answered",
      [{ type: "tool_result", tool_use_id: "t", content: [image, pdf] }],
      { images: 1, files: 1, fileBytes: 12, encodedBytes: 2 * data.length },
    ],
    [
      "what a tool of the vendor fetched",
      [{ type: "web_fetch_tool_result", content: { type: "web_fetch_result", content: pdf } }],
      { files: 1, fileBytes: 12, encodedBytes: data.length },
    ],
    ["a search of the vendor's", [{ type: "server_tool_use", id: "s", name: "n", input: {} }], {}],
    ["a kind that is not known", [{ type: "container_upload", file_id: "f" }], { ...elsewhere }],
  ];
  for (const [name, content, expected] of blocks) {
    it(`counts ${name}`, () => {
      expect(read(content)).toEqual({ ...nothing, outputTokensMax: 5, ...expected });
    });
  }
});

describe("bounds of a typed chat", () => {
  const bound = (chat: Chat) => createChatAsk(chat, false, 1_000).bounds();
  const ofPart = (part: ContentPart["part"]) =>
    bound(
      create(ChatSchema, {
        messages: [{ role: Role.USER, parts: [create(ContentPartSchema, { part })] }],
      }),
    );
  const blob = (value: Uint8Array, mediaType = "") =>
    ({ source: { case: "data", value }, mediaType }) as const;

  it("knows the limit and the number of answers", () => {
    const chat = create(ChatSchema, { sampling: { maxTokens: 7, n: 3 } });
    expect(bound(chat)).toEqual({ ...nothing, outputTokensMax: 7, choices: 3 });
  });

  it("knows what options lay over them", () => {
    const options = {
      openai: { n: 9, max_tokens: 40, messages: [{ content: [{ type: "image_url" }] }] },
    };
    const chat = create(ChatSchema, {
      sampling: { maxTokens: 7 },
      providerOptions: JSON.stringify(options),
    });
    expect(bound(chat)).toEqual({ ...nothing, outputTokensMax: 40, choices: 9, images: 1 });
    chat.providerOptions = "{";
    expect(bound(chat)).toEqual({ ...nothing, outputTokensMax: 7 });
  });

  it("counts media by value, and texts as text", () => {
    const file = (value: Uint8Array, mediaType?: string) =>
      ofPart(
        create(ContentPartSchema, {
          part: { case: "file", value: { blob: blob(value, mediaType) } },
        }).part,
      );
    expect(file(PDF)).toEqual({ ...nothing, files: 1, fileBytes: 11, encodedBytes: 11 });
    expect(file(WORDS)).toEqual(nothing);
    expect(file(WORDS, "application/octet-stream")).toEqual(nothing);
    expect(file(PDF, "text/plain")).toEqual({ ...nothing, files: 1, fileBytes: 11 });
  });

  it("looks into tool results and vendors' parts", () => {
    const image = { part: { case: "image", value: { blob: blob(PDF) } } } as const;
    const result = create(ContentPartSchema, {
      part: { case: "toolResult", value: { toolCallId: "t", parts: [image, image] } },
    });
    expect(ofPart(result.part)).toEqual({ ...nothing, images: 2, encodedBytes: 22 });
    const json = JSON.stringify({ type: "image", source: { type: "base64", data: "AAAA" } });
    const vendor = create(ContentPartSchema, {
      part: { case: "vendor", value: { dialect: "anthropic", json } },
    });
    expect(ofPart(vendor.part)).toEqual({ ...nothing, images: 1 });
  });
});

const drawText = fc.oneof(
  fc.string({ unit: "grapheme", maxLength: 20 }),
  fc.constant("\u{1f30a}".repeat(1_000)),
);
const drawBytes = fc.oneof(
  fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
  // Large enough that no JSON around it makes up for a mistake.
  fc.constantFrom(0, 65, 255).map((byte) => Buffer.alloc(3_000, byte)),
);
const drawType = fc.constantFrom("image/png", "application/pdf", "text/plain", "", "text/html");

const drawOpenAiPart: fc.Arbitrary<JsonObject> = fc.oneof(
  drawText.map((text) => ({ type: "text", text })),
  fc.tuple(drawBytes, drawType).map(([bytes, type]) => ({
    type: "image_url",
    image_url: { url: `data:${type};base64,${bytes.toString("base64")}` },
  })),
  fc.tuple(drawBytes, drawType).map(([bytes, type]) => ({
    type: "file",
    file: { file_data: `data:${type};base64,${bytes.toString("base64")}`, filename: "f" },
  })),
  fc.tuple(drawText, drawType).map(([text, type]) => ({
    type: "file",
    file: { file_data: `data:${type},${encodeURIComponent(text)}` },
  })),
  drawBytes.map((bytes) => ({ type: "file", file: { file_data: bytes.toString("base64") } })),
);

const drawSource: fc.Arbitrary<JsonObject> = fc.oneof(
  fc.tuple(drawBytes, drawType).map(([bytes, type]) => ({
    type: "base64",
    media_type: type,
    data: bytes.toString("base64"),
  })),
  drawText.map((data) => ({ type: "text", media_type: "text/plain", data })),
);

const drawBlock: fc.Arbitrary<JsonObject> = fc.oneof(
  drawText.map((text) => ({ type: "text", text })),
  drawSource.map((source) => ({ type: "image", source })),
  fc.tuple(drawSource, drawText).map(([source, title]) => ({ type: "document", source, title })),
);

/** What is text in a body for a vendor: every string that is no picture, sound or PDF in base64. */
function measureText(value: JsonValue | undefined, within: JsonObject = {}): number {
  if (typeof value === "string") return measureString(value, within);
  if (Array.isArray(value)) {
    return value.reduce((sum: number, each: JsonValue) => sum + measureText(each, within), 0);
  }
  if (!isJsonObject(value)) return 0;
  let sum = 0;
  for (const [name, each] of Object.entries(value)) {
    if (texts.has(name) || typeof each === "object") sum += measureText(each, value);
  }
  return sum;
}

const texts = new Set(["text", "content", "data", "url", "file_data", "title"]);

function measureString(text: string, { type, media_type: mediaType }: JsonObject): number {
  const isMedia = (kind: string) => /^(image\/|application\/pdf)/.test(kind);
  if (type === "base64" && isMedia(String(mediaType))) return 0;
  const url = /^data:([^,]*);base64,/.exec(text);
  if (url === null) return Buffer.byteLength(text);
  // A vendor decodes it before a model reads it.
  return isMedia(url[1] ?? "") ? 0 : Math.floor(((text.length - url[0].length) * 3) / 4);
}

describe("bytes less encoded bytes", () => {
  const target = createTestTarget({ upstreamModel: "claude-sonnet-4-5" });

  /** Never less than the text that any vendor gets, unless it is no text at all. */
  function holds(ask: ChatAsk): void {
    const { encodedBytes, files } = ask.bounds();
    for (const { vendor } of [openaiChat, anthropicChat]) {
      let sent: JsonObject;
      try {
        sent = JSON.parse(vendor.writeRequest(ask, target, []).body);
      } catch {
        continue;
      }
      const text = measureText(sent.messages) + measureText(sent.system);
      // A file that is no UTF-8 grows as text: it counts as a file too.
      if (files === 0) expect(ask.bytes - encodedBytes).toBeGreaterThanOrEqual(text);
    }
    expect(encodedBytes).toBeLessThanOrEqual(ask.bytes);
  }

  it("are the text at least, of /v1/chat/completions", () => {
    fc.assert(
      fc.property(fc.array(drawOpenAiPart, { minLength: 1, maxLength: 5 }), (content) => {
        const body = { model: "m", messages: [{ role: "user", content }] };
        const bytes = Buffer.byteLength(JSON.stringify(body));
        holds(openaiChat.client.readAsk(body, bytes));
      }),
    );
  });

  it("are the text at least, of /v1/messages", () => {
    fc.assert(
      fc.property(fc.array(drawBlock, { minLength: 1, maxLength: 5 }), (content) => {
        const body = { model: "m", max_tokens: 5, messages: [{ role: "user", content }] };
        const bytes = Buffer.byteLength(JSON.stringify(body));
        const ask = anthropicChat.client.readAsk(body, bytes);
        holds(ask);
      }),
    );
  });
});
