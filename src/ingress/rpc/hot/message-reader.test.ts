import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { MESSAGE_BYTES_MAX } from "../limits.ts";
import { frame } from "../rpc-test-house.ts";
import { assertEncoding, MessageReader } from "./message-reader.ts";

describe("MessageReader", () => {
  it("puts a message together however it was cut", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ maxLength: 200 }),
        fc.array(fc.nat(205)),
        async (sent, cuts) => {
          const reader = new MessageReader();
          const whole = frame(0, sent);
          const ends = [...cuts.filter((cut) => cut < whole.length), whole.length].sort(
            (a, b) => a - b,
          );
          let begin = 0;
          for (const end of ends) {
            reader.take(whole.subarray(begin, end));
            begin = end;
          }
          expect(reader.incomplete).toBe(false);
          expect([...(await reader.read(undefined))]).toEqual([...sent]);
        },
      ),
    );
  });

  it("inflates gzip", async () => {
    const reader = new MessageReader();
    reader.take(frame(1, gzipSync("hello")));
    expect((await reader.read("gzip")).toString()).toBe("hello");
  });

  it("refuses a message beyond the cap as soon as its prefix is there", () => {
    const prefix = frame(0, new Uint8Array()).subarray(0, 5);
    prefix.writeUInt32BE(MESSAGE_BYTES_MAX + 1, 1);
    const reader = new MessageReader();
    reader.take(prefix.subarray(0, 3));
    expect(() => reader.take(prefix.subarray(3))).toThrow(/33554432/);
  });

  it("refuses bytes behind the message", () => {
    const reader = new MessageReader();
    reader.take(frame(0, new Uint8Array(3)));
    expect(() => reader.take(Buffer.from([0]))).toThrow(/one message/);
  });

  const broken: Array<[string, Buffer, string | undefined, RegExp]> = [
    ["nothing", Buffer.alloc(0), undefined, /ended before/],
    ["half a message", frame(0, new Uint8Array(9)).subarray(0, 8), undefined, /ended before/],
    ["flags of the future", frame(4, new Uint8Array(9)), undefined, /flags/],
    ["compression without a name", frame(1, gzipSync("x")), undefined, /does not say how/],
    ["what is no gzip", frame(1, Buffer.from("plain")), "gzip", /is not/],
  ];
  for (const [what, bytes, encoding, text] of broken) {
    it(`refuses ${what}`, async () => {
      const reader = new MessageReader();
      if (bytes.length > 0) reader.take(bytes);
      await expect((async () => reader.read(encoding))()).rejects.toThrow(text);
    });
  }
});

describe("assertEncoding()", () => {
  it("knows gzip and identity, and nothing else", () => {
    for (const known of [undefined, "gzip", "identity"]) assertEncoding(known);
    for (const other of ["br", "deflate", "snappy", "GZIP", ""]) {
      expect(() => assertEncoding(other)).toThrow(/grpc-encoding/);
    }
  });
});
