/** Encodes header blocks as a client does that sends the same request again and again (RFC 7541). */
export interface HeaderBlocks {
  /** For the first request of a connection: puts every field into the dynamic table. */
  readonly first: Buffer;
  /** For every later one: an index a field. */
  readonly later: Buffer;
}

/** Static table: `:method: POST`, `:scheme: http`, and the names of `:authority` and `:path`. */
const METHOD_POST = 0x83;
const SCHEME_HTTP = 0x86;
const AUTHORITY = 0x41;
const PATH = 0x44;
const NEW_NAME = 0x40;
const INDEXED = 0x80;
/** Where the dynamic table begins; its newest entry comes first. */
const DYNAMIC_BEGIN = 62;

export function encodeHeaderBlocks(
  authority: string,
  path: string,
  fields: Readonly<Record<string, string>>,
): HeaderBlocks {
  const literals = [
    Buffer.concat([Buffer.of(PATH), encodeText(path)]),
    Buffer.concat([Buffer.of(AUTHORITY), encodeText(authority)]),
    ...Object.entries(fields).map(([name, value]) =>
      Buffer.concat([Buffer.of(NEW_NAME), encodeText(name), encodeText(value)]),
    ),
  ];
  const begin = Buffer.of(METHOD_POST, SCHEME_HTTP);
  const newest = DYNAMIC_BEGIN + literals.length - 1;
  return {
    first: Buffer.concat([begin, ...literals]),
    later: Buffer.concat([begin, Buffer.from(literals.map((_, at) => INDEXED | (newest - at)))]),
  };
}

/** A string without Huffman coding: an integer with a prefix of seven bits, then the bytes. */
function encodeText(text: string): Buffer {
  const bytes = Buffer.from(text, "latin1");
  const prefix: number[] = [];
  if (bytes.length < 127) {
    prefix.push(bytes.length);
  } else {
    prefix.push(127);
    let rest = bytes.length - 127;
    for (; rest >= 128; rest >>= 7) prefix.push((rest & 127) | 128);
    prefix.push(rest);
  }
  return Buffer.concat([Buffer.from(prefix), bytes]);
}
