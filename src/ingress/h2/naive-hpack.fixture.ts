import { staticTable } from "./hpack-static-table.ts";

export type NaiveField = readonly [name: string, value: string];

/**
 * An encoder as plain as RFC 7541 can be read, to judge the decoder by: a list, newest first, of
 * which the end is cut off.
 */
export class NaiveEncoder {
  readonly #entries: NaiveField[] = [];
  #bytesMax: number;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  resize(bytesMax: number): Buffer {
    this.#bytesMax = bytesMax;
    this.#evict();
    return encodeInteger(0x20, 5, bytesMax);
  }

  /** By an index when there is one; else as `how` has it. */
  encode(field: NaiveField, how: "add" | "plain" | "never"): Buffer {
    const [name, value] = field;
    const all = [...staticTable, ...this.#entries];
    const at = all.findIndex((each) => each[0] === name && each[1] === value);
    if (at >= 0 && how === "add") return encodeInteger(0x80, 7, at + 1);
    // The oldest of the name, which is the one that this very field may evict.
    const named = all.findLastIndex((each) => each[0] === name) + 1;
    const [high, bits] = FORMS[how];
    const texts = named === 0 ? [encodeText(name), encodeText(value)] : [encodeText(value)];
    if (how === "add") {
      this.#entries.unshift(field);
      this.#evict();
    }
    return Buffer.concat([encodeInteger(high, bits, named), ...texts]);
  }

  #evict(): void {
    const sizeOf = ([name, value]: NaiveField) => name.length + value.length + 32;
    const bytes = () => this.#entries.reduce((sum, entry) => sum + sizeOf(entry), 0);
    while (bytes() > this.#bytesMax) this.#entries.pop();
  }
}

const FORMS = { add: [0x40, 6], plain: [0x00, 4], never: [0x10, 4] } as const;

export function encodeInteger(high: number, bits: number, value: number): Buffer {
  const prefix = 2 ** bits - 1;
  if (value < prefix) return Buffer.of(high | value);
  const octets = [high | prefix];
  let rest = value - prefix;
  for (; rest >= 128; rest = Math.floor(rest / 128)) octets.push((rest % 128) + 128);
  return Buffer.from([...octets, rest]);
}

function encodeText(text: string): Buffer {
  return Buffer.concat([encodeInteger(0, 7, text.length), Buffer.from(text, "latin1")]);
}
