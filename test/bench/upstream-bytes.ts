/** Events of a streamed answer, `[DONE]` included: a role, 64 of content, a finish, the usage. */
export const STREAM_EVENTS = 68;

/** Stands in the text of each event of content and nowhere else, so that a client can find the first one. */
export const CONTENT_MARK = " zq";

/** Models by how the upstream behaves: all at once, an event every ten milliseconds, a word and then nothing. */
export const models = { plain: "bench/plain", paced: "bench/paced", hold: "bench/hold" } as const;

const CONTENT_EVENTS = STREAM_EVENTS - 4;
/** Characters of text an event, about four tokens. */
const TEXT_LENGTH = 20;

const VENDOR_FIELDS = [
  "date: Sun, 23 Nov 2025 01:00:00 GMT",
  "openai-processing-ms: 12",
  "openai-version: 2020-10-01",
  "x-request-id: req_0123456789abcdef0123456789abcdef",
  "x-ratelimit-limit-requests: 10000",
  "x-ratelimit-remaining-requests: 9999",
];

/** A whole answer of about 600 bytes, head included. */
export function createUnaryResponse(): Buffer {
  const body = {
    id: "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT",
    object: "chat.completion",
    created: 1_741_569_952,
    model: "bench-1",
    choices: [
      {
        index: 0,
        message: {
          role: "assistant",
          content: `The capital of France is${CONTENT_MARK}Paris. Is there anything else that you would like to know?`,
          refusal: null,
          annotations: [],
        },
        logprobs: null,
        finish_reason: "stop",
      },
    ],
    usage: createUsage(22),
    service_tier: "default",
    system_fingerprint: "fp_44709d6fcb",
  };
  return createJsonResponse(body);
}

/** One vector of 256 numbers, head included. */
export function createEmbeddingResponse(): Buffer {
  const embedding = Array.from(
    { length: 256 },
    (_, at) => (((at * 7919) % 2001) - 1000) / 31_234.567,
  );
  return createJsonResponse({
    object: "list",
    data: [{ object: "embedding", index: 0, embedding }],
    model: "bench-embed-1",
    usage: { prompt_tokens: 8, total_tokens: 8 },
  });
}

/** The head of a streamed answer. */
export function createStreamHead(): Buffer {
  const fields = [
    "content-type: text/event-stream; charset=utf-8",
    "transfer-encoding: chunked",
    ...VENDOR_FIELDS,
  ];
  return Buffer.from(`HTTP/1.1 200 OK\r\n${fields.join("\r\n")}\r\n\r\n`);
}

/** The events of a streamed answer, each in an HTTP chunk of its own; the last one ends the body too. */
export function createStreamChunks(): Buffer[] {
  const payloads = createStreamPayloads();
  return payloads.map((payload, at) => {
    const frame = `data: ${payload}\n\n`;
    const last = at === payloads.length - 1;
    return Buffer.from(`${frame.length.toString(16)}\r\n${frame}\r\n${last ? "0\r\n\r\n" : ""}`);
  });
}

/** The data of each event. */
export function createStreamPayloads(): string[] {
  const payloads = [
    createEvent([{ index: 0, delta: { role: "assistant", content: "" }, finish_reason: null }]),
  ];
  for (let at = 1; at <= CONTENT_EVENTS; at++) {
    const content = `${CONTENT_MARK}${at}`.padEnd(TEXT_LENGTH, "abcdefghijklmnopqrst");
    payloads.push(createEvent([{ index: 0, delta: { content }, finish_reason: null }]));
  }
  payloads.push(createEvent([{ index: 0, delta: {}, finish_reason: "stop" }]));
  payloads.push(createEvent([], { usage: createUsage(CONTENT_EVENTS) }));
  payloads.push("[DONE]");
  return payloads;
}

function createEvent(choices: readonly object[], more: object = {}): string {
  return JSON.stringify({
    id: "chatcmpl-B9MBs8CjcvOU2jLn4n570",
    object: "chat.completion.chunk",
    created: 1_741_569_952,
    model: "bench-1",
    choices,
    ...more,
  });
}

function createUsage(completionTokens: number): object {
  return {
    prompt_tokens: 419,
    completion_tokens: completionTokens,
    total_tokens: 419 + completionTokens,
    prompt_tokens_details: { cached_tokens: 0, audio_tokens: 0 },
    completion_tokens_details: { reasoning_tokens: 0, audio_tokens: 0 },
  };
}

function createJsonResponse(body: object): Buffer {
  const text = JSON.stringify(body);
  const fields = [
    "content-type: application/json",
    `content-length: ${Buffer.byteLength(text)}`,
    ...VENDOR_FIELDS,
  ];
  return Buffer.from(`HTTP/1.1 200 OK\r\n${fields.join("\r\n")}\r\n\r\n${text}`);
}
