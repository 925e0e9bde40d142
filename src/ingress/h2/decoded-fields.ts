import type { IncomingHttpHeaders } from "node:http2";
import { BareHeaders } from "../bare-headers.ts";
import { FieldRole, type HeaderField } from "./header-field.ts";

/** The fields of one header block. Several streams may share one: nothing in it changes. */
export interface DecodedFields {
  /**
   * By lower-case name, pseudo fields with their colon, a character for each octet. Fields of one
   * name are joined as node:http2 joins them. Frozen. Incomplete when `tooLarge`.
   */
  readonly headers: IncomingHttpHeaders;
  /** More than the list may have. The connection is sound; only this message must be refused. */
  readonly tooLarge: boolean;
  /** Why it cannot be the head of a request: its stream ends with PROTOCOL_ERROR. */
  readonly requestFlaw: string | undefined;
  /** Why it cannot be trailers: the same. */
  readonly trailersFlaw: string | undefined;
}

/** Gathers the fields of one block after another. */
export class FieldCollector {
  readonly #bytesMax: number;
  #headers = new BareHeaders();
  #bytes = 0;
  /** A bit for each role of a pseudo field, and one for all others. */
  #seen = 0;
  #flaw: string | undefined;

  /** `bytesMax` counts names, values, and 32 for each field (RFC 9113, 6.5.2). */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  add(field: HeaderField): void {
    this.#bytes += field.bytes;
    if (field.flaw !== "") this.#flaw ??= field.flaw;
    if (this.#bytes > this.#bytesMax) return;
    const { name, value, role } = field;
    if (role >= FieldRole.METHOD) {
      this.#addPseudo(name, value, role);
      return;
    }
    this.#seen |= REGULAR;
    const before = this.#headers[name];
    if (before === undefined) {
      this.#headers[name] = role === FieldRole.SET_COOKIE ? [value] : value;
    } else if (role !== FieldRole.SINGLE) this.#join(field, before);
  }

  /** Everything since the last time, and begins anew. */
  finish(): DecodedFields {
    const headers = this.#headers;
    const seen = this.#seen;
    const flaw = this.#flaw;
    const tooLarge = this.#bytes > this.#bytesMax;
    this.#headers = new BareHeaders();
    this.#bytes = 0;
    this.#seen = 0;
    this.#flaw = undefined;
    return {
      headers: Object.freeze(headers),
      tooLarge,
      requestFlaw: flaw ?? findRequestFlaw(headers, seen, tooLarge),
      trailersFlaw: flaw ?? ((seen & PSEUDO) === 0 ? undefined : "Trailers have a pseudo field."),
    };
  }

  #addPseudo(name: string, value: string, role: FieldRole): void {
    const bit = 1 << role;
    if ((this.#seen & bit) !== 0) this.#flaw ??= `The pseudo field "${name}" is there twice.`;
    if ((this.#seen & REGULAR) !== 0) this.#flaw ??= "A pseudo field comes after a regular one.";
    this.#seen |= bit;
    this.#headers[name] = value;
  }

  #join({ name, value, role }: HeaderField, before: string | string[]): void {
    if (typeof before !== "string") before.push(value);
    else if (role === FieldRole.COOKIE) this.#headers[name] = `${before}; ${value}`;
    else if (role === FieldRole.LIST) this.#headers[name] = `${before}, ${value}`;
    else if (before !== value) this.#flaw ??= `The field "${name}" is there twice and differs.`;
  }
}

const REGULAR = 1;
const METHOD = 1 << FieldRole.METHOD;
const SCHEME = 1 << FieldRole.SCHEME;
const PATH = 1 << FieldRole.PATH;
const AUTHORITY = 1 << FieldRole.AUTHORITY;
const PSEUDO = METHOD | SCHEME | PATH | AUTHORITY;

/** RFC 9113, 8.3.1 and 8.5. What was cut off for its size may be what is missing. */
function findRequestFlaw(headers: BareHeaders, seen: number, cut: boolean): string | undefined {
  if (cut) return undefined;
  if (headers[":method"] === "CONNECT") {
    const fit = (seen & PSEUDO) === (METHOD | AUTHORITY);
    return fit ? undefined : "CONNECT has a method and an authority, and no other pseudo field.";
  }
  const needed = METHOD | SCHEME | PATH;
  if ((seen & needed) !== needed) return "A request needs a method, a scheme and a path.";
  const star = headers[":path"] === "*" && headers[":method"] !== "OPTIONS";
  return star ? 'Only OPTIONS may have the path "*".' : undefined;
}
