import { connect } from "node:http2";
import { duplexPair } from "node:stream";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { HpackDecoder } from "./hpack-decoder.ts";
import { HpackError } from "./hpack-error.ts";
import { NaiveEncoder } from "./naive-hpack.fixture.ts";

const NAMES = ["x-a", "x-bb", "accept", "cache-control", "via"];
const value = fc.oneof(
  { arbitrary: fc.constantFrom("", "1", "22", "no-cache"), weight: 3 },
  fc.string({ unit: fc.constantFrom("a", "/", "\xe9"), maxLength: 300 }),
);
const field = fc.record({
  name: fc.constantFrom(...NAMES),
  value,
  how: fc.constantFrom("add" as const, "add" as const, "plain" as const, "never" as const),
});
const block = fc.record({
  sizes: fc.array(fc.oneof(fc.nat(400), fc.constantFrom(0, 31, 4096)), { maxLength: 2 }),
  fields: fc.array(field, { maxLength: 12 }),
});

function joinByName(fields: ReadonlyArray<{ name: string; value: string }>) {
  const joined: Record<string, string> = {};
  for (const { name, value } of fields) {
    const before = joined[name];
    joined[name] = before === undefined ? value : `${before}, ${value}`;
  }
  return joined;
}

describe("HpackDecoder, of anything", () => {
  it("reads what a plain encoder writes, whatever sizes its table takes in between", () => {
    const check = fc.property(fc.array(block, { maxLength: 12 }), (blocks) => {
      const encoder = new NaiveEncoder(4096);
      const decoder = new HpackDecoder({ tableBytesMax: 4096, listBytesMax: 1e9 });
      for (const { sizes, fields } of blocks) {
        const pieces = sizes.map((size) => encoder.resize(size));
        for (const each of fields) pieces.push(encoder.encode([each.name, each.value], each.how));
        const bytes = Buffer.concat(pieces);
        const { headers, trailersFlaw } = decoder.decode(bytes, 0, bytes.length);
        expect({ ...headers }).toEqual(joinByName(fields));
        expect(trailersFlaw).toBeUndefined();
      }
    });
    fc.assert(check);
  });

  it("reads a block the same way each time, until the table changes", () => {
    const fields = fc.array(field, { maxLength: 6 });
    const check = fc.property(fc.array(fields, { maxLength: 4 }), (lists) => {
      const encoder = new NaiveEncoder(200);
      const decoder = new HpackDecoder({ tableBytesMax: 200, listBytesMax: 1e9 });
      for (const list of [...lists, ...lists, ...lists]) {
        const bytes = Buffer.concat(
          list.map(({ name, value, how }) => encoder.encode([name, value], how)),
        );
        const { headers } = decoder.decode(bytes, 0, bytes.length);
        expect({ ...headers }).toEqual(joinByName(list));
      }
    });
    fc.assert(check);
  });

  it("throws nothing but HpackError at garbage, and stays within its list", () => {
    const octet = fc.oneof(fc.nat(255), fc.constantFrom(0x82, 0xbe, 0x40, 0x00, 0x01, 0x20, 0x85));
    const garbage = fc.array(octet, { maxLength: 200 });
    const check = fc.property(fc.array(garbage, { maxLength: 5 }), (blocks) => {
      const decoder = new HpackDecoder({ tableBytesMax: 256, listBytesMax: 1000 });
      try {
        for (const each of blocks) {
          const bytes = Buffer.from(each);
          const { headers, tooLarge } = decoder.decode(bytes, 0, bytes.length);
          if (!tooLarge) expect(JSON.stringify(headers).length).toBeLessThan(7_000);
        }
      } catch (thrown) {
        expect(thrown).toBeInstanceOf(HpackError);
      }
    });
    fc.assert(check);
  });

  it("reads what node's own client writes", async () => {
    const name = fc.constantFrom("x-a", "x-b", "user-agent", "authorization", "grpc-timeout");
    const text = fc.string({ unit: "grapheme-ascii", maxLength: 40 }).map((each) => each.trim());
    const dictionary = fc.dictionary(name, text, { maxKeys: 5 });
    const check = fc.asyncProperty(fc.array(dictionary, { minLength: 1, maxLength: 8 }), send);
    await fc.assert(check, { numRuns: 20 });
  });
});

/** Sends a request with each of these through node's client, and reads its HEADERS frames. */
async function send(requests: ReadonlyArray<Record<string, string>>): Promise<void> {
  const [near, far] = duplexPair();
  const blocks: Buffer[] = [];
  const arrived = new Promise<void>((resolve) => {
    let bytes = Buffer.alloc(0);
    let at = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".length;
    far.on("data", (piece: Buffer) => {
      bytes = Buffer.concat([bytes, piece]);
      for (; bytes.length >= at + 9; at += 9 + bytes.readUIntBE(at, 3)) {
        const end = at + 9 + bytes.readUIntBE(at, 3);
        if (bytes.length < end) return;
        if (bytes[at + 3] === 1) blocks.push(bytes.subarray(at + 9, end));
      }
      if (blocks.length === requests.length) resolve();
    });
  });
  far.write(Buffer.from("000000040000000000", "hex"));
  const session = connect("http://weir", { createConnection: () => near });
  session.on("error", () => {});
  const common = { ":path": "/weir.v1.ChatService/CreateChat", ":method": "POST" };
  for (const fields of requests) session.request({ ...common, ...fields }).on("error", () => {});
  await arrived;
  session.destroy();
  far.destroy();
  const decoder = new HpackDecoder({ tableBytesMax: 4096, listBytesMax: 32 * 1024 });
  for (const [at, fields] of requests.entries()) {
    const bytes = blocks[at] ?? Buffer.alloc(0);
    const { headers, requestFlaw } = decoder.decode(bytes, 0, bytes.length);
    const rest = { ":authority": "weir:80", ":scheme": "http" };
    expect({ ...headers }).toEqual({ ...common, ...rest, ...fields });
    expect(requestFlaw).toBeUndefined();
  }
}
