import type { VendorTraits } from "./vendor-traits.ts";

/** A request on its way into this dialect: whom it is for, and what had to be left out. */
export class Translation {
  readonly traits: VendorTraits;
  readonly #warnings: string[];

  constructor(traits: VendorTraits, warnings: string[]) {
    this.traits = traits;
    this.#warnings = warnings;
  }

  /** Notes what could not be carried; each sentence once. */
  warn(sentence: string): void {
    if (!this.#warnings.includes(sentence)) this.#warnings.push(sentence);
  }
}
