import { type ClientHttp2Session, connect } from "node:http2";
import { type Duplex, duplexPair } from "node:stream";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { HpackDecoder } from "./hpack-decoder.ts";
import { boundBlock, HpackEncoder } from "./hpack-encoder.ts";

function encode(encoder: HpackEncoder, ...fields: string[]): Buffer {
  const into = Buffer.alloc(boundBlock(fields) + 3, 0xaa);
  const end = encoder.encode(fields, into, 3);
  expect(end).toBeLessThanOrEqual(into.length);
  return into.subarray(3, end);
}

function encodeHex(encoder: HpackEncoder, ...fields: string[]): string {
  return encode(encoder, ...fields).toString("hex");
}

function createDecoder(): HpackDecoder {
  return new HpackDecoder({ tableBytesMax: 4096, listBytesMax: 1e9 });
}

function decode(decoder: HpackDecoder, block: Buffer) {
  return { ...decoder.decode(block, 0, block.length).headers };
}

const GRPC = "application/grpc+proto";

describe("HpackEncoder", () => {
  it("sends what the static table has as one octet", () => {
    const encoder = new HpackEncoder();
    expect(encodeHex(encoder, ":status", "200", "accept-encoding", "gzip, deflate")).toBe("8890");
  });

  it("sends a constant field once, and an octet from then on", () => {
    const encoder = new HpackEncoder();
    const fields = [":status", "200", "content-type", GRPC, "grpc-status", "0"];
    expect(encode(encoder, ...fields)).toHaveLength(1 + 2 + GRPC.length + 2 + 11 + 2);
    expect(encodeHex(encoder, ...fields)).toBe("88bfbe");
  });

  it("keeps what varies out of the table", () => {
    const encoder = new HpackEncoder();
    const first = encodeHex(encoder, "x-request-id", "1");
    expect(encodeHex(encoder, "x-request-id", "1")).toBe(first);
    expect(first.slice(0, 2)).toBe("00");
  });

  for (const name of ["set-cookie", "authorization", "www-authenticate", "x-api-key"]) {
    it(`forbids everybody to index ${name}`, () => {
      const block = encode(new HpackEncoder(), name, "secret");
      expect((block[0] ?? 0) & 0xf0).toBe(0x10);
      expect(decode(createDecoder(), block)[name]).toContain("secret");
    });
  }

  it("writes names in lower case", () => {
    const block = encode(new HpackEncoder(), "X-Request-ID", "A", "Content-Type", "B");
    expect(decode(createDecoder(), block)).toEqual({ "x-request-id": "A", "content-type": "B" });
  });

  const names = ["", "a b", "a:b", "a\r\nb", "é", "\u010a", ":", "a\0"];
  for (const name of names) {
    it(`refuses the name ${JSON.stringify(name)}`, () => {
      expect(() => encode(new HpackEncoder(), name, "x")).toThrow(TypeError);
    });
  }

  it("goes on after a block that could not be written", () => {
    const encoder = new HpackEncoder();
    const decoder = createDecoder();
    const fields = ["content-type", GRPC, "vary", "a"];
    decode(decoder, encode(encoder, ...fields));
    expect(() => encode(encoder, "grpc-status", "0", "a b", "x")).toThrow(TypeError);
    for (let i = 0; i < 2; i += 1) {
      const block = encode(encoder, "grpc-status", "0", ...fields);
      expect(decode(decoder, block)).toEqual({
        ...{ "content-type": GRPC, "grpc-status": "0", vary: "a" },
      });
    }
  });

  it("is understood after thousands of constants that were none", () => {
    const encoder = new HpackEncoder();
    const decoder = createDecoder();
    for (let i = 0; i < 3000; i += 1) {
      const fields = { "content-type": `a/${i}`, "grpc-status": String(i % 17), vary: "origin" };
      const block = encode(encoder, ...Object.entries(fields).flat());
      expect(decode(decoder, block)).toEqual(fields);
    }
  });

  it("makes question marks of what could forge a field", () => {
    const block = encode(new HpackEncoder(), "x-a", "a\r\nb\0c\u010ad\x7fe\t \xe9€");
    expect(decode(createDecoder(), block)).toEqual({ "x-a": "a??b?c?d?e\t \xe9?" });
  });

  it("sends values of any length", () => {
    const decoder = createDecoder();
    for (const length of [0, 1, 126, 127, 128, 254, 255, 16_511, 16_512, 70_000]) {
      const block = encode(new HpackEncoder(), "x-a", "b".repeat(length));
      expect(decode(decoder, block)["x-a"]).toHaveLength(length);
    }
  });

  it("does not let one large constant push all others out", () => {
    const encoder = new HpackEncoder();
    encode(encoder, "grpc-status", "0");
    encode(encoder, "vary", "x".repeat(2000));
    expect(encodeHex(encoder, "grpc-status", "0")).toBe("be");
  });
});

describe("HpackEncoder.setTableSize()", () => {
  it("says nothing when the size is what it was", () => {
    const encoder = new HpackEncoder();
    encoder.setTableSize(4096);
    expect(encodeHex(encoder, ":status", "200")).toBe("88");
  });

  it("needs no more than 4096, however much there is", () => {
    const encoder = new HpackEncoder();
    encoder.setTableSize(2 ** 32 - 1);
    expect(encodeHex(encoder, ":status", "200")).toBe("88");
  });

  it("tells of a smaller size once, and indexes nothing at 0", () => {
    const encoder = new HpackEncoder();
    encode(encoder, "grpc-status", "0");
    encoder.setTableSize(0);
    const first = encodeHex(encoder, "grpc-status", "0");
    expect(first.slice(0, 4)).toBe("2000");
    expect(encodeHex(encoder, "grpc-status", "0")).toBe(first.slice(2));
  });

  it("tells of the smallest size in between, then of the last", () => {
    const encoder = new HpackEncoder();
    for (const size of [100, 0, 50, 4096]) encoder.setTableSize(size);
    expect(encodeHex(encoder, ":status", "200")).toBe("203fe11f88");
    encoder.setTableSize(30);
    expect(encodeHex(encoder, ":status", "200")).toBe("3e88");
  });

  it("says so when a size has gone and come back: the table is empty since", () => {
    const encoder = new HpackEncoder();
    encode(encoder, "grpc-status", "0");
    encoder.setTableSize(0);
    encoder.setTableSize(4096);
    const block = encode(encoder, "grpc-status", "0");
    expect(block.toString("hex")).toMatch(/^203fe11f40/);
  });
});

const step = fc.record({
  sizes: fc.array(fc.oneof(fc.nat(600), fc.constantFrom(0, 64, 4096, 10_000)), { maxLength: 3 }),
  fields: fc.uniqueArray(
    fc.tuple(
      fc.constantFrom("content-type", "vary", "grpc-status", "x-weir-cache", "x-request-id"),
      fc.oneof(fc.constantFrom("0", "1", "two"), fc.string({ unit: "grapheme-ascii" })),
    ),
    { selector: ([name]) => name },
  ),
});

describe("HpackEncoder, of anything", () => {
  it("is understood by the decoder, whatever sizes the peer sets in between", () => {
    const check = fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const encoder = new HpackEncoder();
      const decoder = createDecoder();
      for (const { sizes, fields } of steps) {
        for (const size of sizes) encoder.setTableSize(size);
        expect(decode(decoder, encode(encoder, ...fields.flat()))).toEqual(
          Object.fromEntries(fields),
        );
      }
    });
    fc.assert(check);
  });

  it("is understood by node's own client, whatever sizes it sets in between", async () => {
    const trimmed = fc.array(step, { minLength: 1, maxLength: 6 }).map((steps) =>
      steps.map(({ sizes, fields }) => ({
        sizes,
        fields: fields.map(([name, value]): [string, string] => [name, value.trim()]),
      })),
    );
    await fc.assert(fc.asyncProperty(trimmed, answer), { numRuns: 20 });
  });
});

interface Step {
  readonly sizes: readonly number[];
  readonly fields: ReadonlyArray<readonly [string, string]>;
}

/** Answers a request of node's client with the fields of each step, and compares what it read. */
async function answer(steps: readonly Step[]): Promise<void> {
  const [near, far] = duplexPair();
  const peer = new Peer(far);
  const session = connect("http://weir", { createConnection: () => near });
  try {
    for (const { sizes, fields } of steps) {
      for (const headerTableSize of sizes) session.settings({ headerTableSize });
      const headers = await ask(session);
      for (const [name, value] of fields) expect(headers[name]).toBe(value);
    }
  } finally {
    session.destroy();
    far.destroy();
  }

  function ask(client: ClientHttp2Session): Promise<Record<string, unknown>> {
    peer.fields = [":status", "200", ...(steps[peer.answered]?.fields.flat() ?? [])];
    return new Promise((resolve, reject) => {
      client.once("error", reject);
      const stream = client.request({ ":path": "/" });
      stream.on("error", reject);
      stream.on("response", (headers) => resolve({ ...headers }));
    });
  }
}

/** As little of a server as node's client needs. */
class Peer {
  fields: string[] = [];
  answered = 0;
  readonly #encoder = new HpackEncoder();
  readonly #socket: Duplex;
  #bytes: Buffer = Buffer.alloc(0);
  #at = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".length;

  constructor(socket: Duplex) {
    this.#socket = socket;
    this.#send(4, 0, 0, Buffer.alloc(0));
    socket.on("data", (piece: Buffer) => {
      this.#bytes = Buffer.concat([this.#bytes, piece]);
      while (this.#bytes.length >= this.#at + 9) {
        const end = this.#at + 9 + this.#bytes.readUIntBE(this.#at, 3);
        if (this.#bytes.length < end) return;
        this.#take(this.#bytes.subarray(this.#at, end));
        this.#at = end;
      }
    });
  }

  #take(frame: Buffer): void {
    if (frame[3] === 4 && frame[4] === 0) {
      for (let at = 9; at < frame.length; at += 6) {
        if (frame.readUInt16BE(at) === 1) this.#encoder.setTableSize(frame.readUInt32BE(at + 2));
      }
      this.#send(4, 1, 0, Buffer.alloc(0));
    } else if (frame[3] === 1) {
      this.answered += 1;
      this.#send(1, 5, frame.readUInt32BE(5), encode(this.#encoder, ...this.fields));
    }
  }

  #send(type: number, flags: number, stream: number, payload: Buffer): void {
    const head = Buffer.alloc(9);
    head.writeUIntBE(payload.length, 0, 3);
    head[3] = type;
    head[4] = flags;
    head.writeUInt32BE(stream, 5);
    this.#socket.write(Buffer.concat([head, payload]));
  }
}
