import { describe, expect, it } from "vitest";
import { HpackDecoder } from "./hpack-decoder.ts";
import { HpackError } from "./hpack-error.ts";

function createDecoder(tableBytesMax = 4096, listBytesMax = 32 * 1024): HpackDecoder {
  return new HpackDecoder({ tableBytesMax, listBytesMax });
}

function decode(decoder: HpackDecoder, hex: string) {
  const bytes = Buffer.from(`ff${hex.replaceAll(" ", "")}ff`, "hex");
  return decoder.decode(bytes, 1, bytes.length - 1);
}

function text(value: string): string {
  return `${Buffer.of(value.length).toString("hex")}${Buffer.from(value).toString("hex")}`;
}

const request = { ":method": "GET", ":path": "/", ":scheme": "http" };
const authority = { ":authority": "www.example.com" };
const page = { ":method": "GET", ":path": "/index.html", ":scheme": "https", ...authority };
const requests = [
  { ...request, ...authority },
  { ...request, ...authority, "cache-control": "no-cache" },
  { ...page, "custom-key": "custom-value" },
];
const date = "Mon, 21 Oct 2013 20:13:21 GMT";
const moved = { "cache-control": "private", date, location: "https://www.example.com" };
const cookie = "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1";
const responses = [
  { ":status": "302", ...moved },
  { ":status": "307", ...moved },
  {
    ...{ ":status": "200", ...moved, date: date.replace(":21 G", ":22 G") },
    ...{ "content-encoding": "gzip", "set-cookie": [cookie] },
  },
];

/** RFC 7541, appendix C. */
const vectors = [
  {
    name: "C.3, requests as plain text",
    tableBytesMax: 4096,
    blocks: [
      "828684410f7777772e6578616d706c652e636f6d",
      "828684be58086e6f2d6361636865",
      "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565",
    ],
    lists: requests,
  },
  {
    name: "C.4, requests in Huffman code",
    tableBytesMax: 4096,
    blocks: [
      "828684418cf1e3c2e5f23a6ba0ab90f4ff",
      "828684be5886a8eb10649cbf",
      "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
    ],
    lists: requests,
  },
  {
    name: "C.5, responses as plain text, which evict",
    tableBytesMax: 256,
    blocks: [
      "4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a323120474d" +
        "546e1768747470733a2f2f7777772e6578616d706c652e636f6d",
      "4803333037c1c0bf",
      "88c1611d4d6f6e2c203231204f637420323031332032303a31333a323220474d54c05a04677a69707738666f" +
        "6f3d4153444a4b48514b425a584f5157454f50495541585157454f49553b206d61782d6167653d333630303b20" +
        "76657273696f6e3d31",
    ],
    lists: responses,
  },
  {
    name: "C.6, responses in Huffman code, which evict",
    tableBytesMax: 256,
    blocks: [
      "488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c7" +
        "8f0b97c8e9ae82ae43d3",
      "4883640effc1c0bf",
      "88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335" +
        "dfdfcd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007",
    ],
    lists: responses,
  },
];

describe("HpackDecoder", () => {
  for (const { name, tableBytesMax, blocks, lists } of vectors) {
    it(`reads the examples of ${name}`, () => {
      const decoder = createDecoder(tableBytesMax);
      expect(blocks.map((block) => ({ ...decode(decoder, block).headers }))).toEqual(lists);
    });
  }

  it("reads a literal that is never indexed, and keeps it out of the table", () => {
    const decoder = createDecoder();
    const { headers } = decode(decoder, "100870617373776f726406736563726574");
    expect({ ...headers }).toEqual({ password: "secret" });
    expect(() => decode(decoder, "be")).toThrow(HpackError);
  });

  it("lets a field that is larger than the table empty it", () => {
    const decoder = createDecoder(64);
    decode(decoder, `40${text("a")}${text("b")}`);
    expect(decode(decoder, "be").headers.a).toBe("b");
    decode(decoder, `40${text("c")}${text("d".repeat(100))}`);
    expect(() => decode(decoder, "be")).toThrow(HpackError);
  });

  it("evicts what a smaller size has no room for, and not what a larger one brings", () => {
    const decoder = createDecoder();
    decode(decoder, `40${text("a")}${text("1")}40${text("b")}${text("2")}`);
    expect(decode(decoder, "3f03 3fe11f be").headers.b).toBe("2");
    expect(() => decode(decoder, "bf")).toThrow(HpackError);
  });

  const broken = [
    ["the index 0", "80"],
    ["an index beyond both tables", "be"],
    ["an index of a name beyond both tables", "7e00"],
    ["an integer of five octets more", "ffffffffff7f"],
    ["an integer that never ends", `ff${"80".repeat(1000)}01`],
    ["an integer that is cut off", "ff"],
    ["a name that is cut off", "000561"],
    ["a value that is missing", "000161"],
    ["a value that is cut off", "0001610562"],
    ["a value that is longer than anything", "0001617fffffff07"],
    ["broken Huffman code in a value", "00016181ff"],
    ["a table that is larger than was allowed", "3fe21f"],
    ["a size after a field", "8220"],
  ] as const;
  for (const [what, hex] of broken) {
    it(`gives up at ${what}`, () => {
      expect(() => decode(createDecoder(), hex)).toThrow(HpackError);
    });
  }

  it("reads an empty block", () => {
    expect({ ...decode(createDecoder(), "").headers }).toEqual({});
  });

  it("says when a list is too large, and keeps the table right", () => {
    const decoder = createDecoder();
    const large = `40${text("a")}${text("x".repeat(100))}`;
    expect(decode(decoder, large).tooLarge).toBe(false);
    expect(decode(decoder, `${"be".repeat(400)}40${text("b")}${text("2")}`).tooLarge).toBe(true);
    const after = decode(decoder, "bebf");
    expect(after.tooLarge).toBe(false);
    expect({ ...after.headers }).toEqual({ a: "x".repeat(100), b: "2" });
  });

  it("counts 32 octets for each field of a list", () => {
    const fields = (count: number) => `00${text("ab")}${text("c")}`.repeat(count);
    expect(decode(createDecoder(4096, 350), fields(10)).tooLarge).toBe(false);
    expect(decode(createDecoder(4096, 349), fields(10)).tooLarge).toBe(true);
  });
});

describe("HpackDecoder, a block again", () => {
  const block = `828684${`00${text("a")}${text("b")}`}`;

  it("is the same object, and cannot be changed", () => {
    const decoder = createDecoder();
    const first = decode(decoder, block);
    expect(decode(decoder, block)).toBe(first);
    expect(Object.isFrozen(first.headers)).toBe(true);
  });

  it("is read anew when the table has changed", () => {
    const decoder = createDecoder();
    decode(decoder, `40${text("a")}${text("1")}`);
    expect(decode(decoder, "be").headers.a).toBe("1");
    decode(decoder, `40${text("a")}${text("2")}`);
    expect(decode(decoder, "be").headers.a).toBe("2");
  });

  it("is an error when its field is gone", () => {
    const decoder = createDecoder();
    decode(decoder, `40${text("a")}${text("1")}`);
    decode(decoder, "be");
    decode(decoder, "20");
    expect(() => decode(decoder, "be")).toThrow(HpackError);
  });

  it("changes the table each time that it says so", () => {
    const decoder = createDecoder();
    const adds = `40${text("a")}${text("1")}`;
    decode(decoder, adds);
    decode(decoder, adds);
    expect(decode(decoder, "bebf").headers.a).toBe("1, 1");
  });

  it("differs by any octet", () => {
    const decoder = createDecoder();
    const first = decode(decoder, block);
    const other = decode(decoder, block.replace(/62$/, "63"));
    expect([first.headers.a, other.headers.a]).toEqual(["b", "c"]);
  });

  it("is found among others, and forgotten when there were many", () => {
    const decoder = createDecoder();
    const others = Array.from({ length: 10 }, (_, i) => `00${text("a")}${text(`${i}`)}`);
    for (let round = 0; round < 3; round += 1) {
      const values = others.map((each) => decode(decoder, each).headers.a);
      expect(values).toEqual(["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);
    }
  });
});
