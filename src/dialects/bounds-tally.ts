import { isUtf8 } from "node:buffer";
import type { AskBounds, EmbedBounds, PromptBounds } from "../mesh/ask.ts";

/**
 * Adds up what bounds the cost of a request. Whatever is in doubt counts as text, which costs most:
 * a token for each byte.
 */
export class BoundsTally {
  #outputTokensMax: number | undefined;
  #choices = 1;
  #images = 0;
  #sounds = 0;
  #audioBytes = 0;
  #files = 0;
  #filesElsewhere = 0;
  #fileBytes = 0;
  #encodedBytes = 0;
  #tokenIds = 0;

  /**
   * The caller's limit of output tokens. Of several the highest counts, since vendors differ in
   * which they know, or one that is none.
   */
  limit(tokens: unknown): void {
    if (typeof tokens !== "number") return;
    const other = this.#outputTokensMax;
    if (other === undefined) this.#outputTokensMax = tokens;
    else this.#outputTokensMax = other > 0 && tokens > 0 ? Math.max(other, tokens) : 0;
  }

  /** Engines that read numbers leniently take one in quotes too. */
  choices(count: unknown): void {
    const number = typeof count === "string" ? Number(count) : count;
    if (typeof number === "number" && number > this.#choices) this.#choices = Math.ceil(number);
  }

  /** A picture; `encoded` characters of the body are its own. */
  image(encoded = 0): void {
    this.#images += 1;
    this.#encodedBytes += encoded;
  }

  audio(bytes: number, encoded: number): void {
    this.#sounds += 1;
    this.#audioBytes += bytes;
    this.#encodedBytes += encoded;
  }

  /** Something whose size nobody here knows, such as a file that was uploaded at the vendor. */
  elsewhere(): void {
    this.#files += 1;
    this.#filesElsewhere += 1;
  }

  /**
   * A document by value. `encoded` characters of the body stand for `bytes()`, which are decoded
   * only where the type says that they may be text: text counts as text and nothing else.
   */
  file(mediaType: string, size: number, encoded: number, bytes: () => Uint8Array): void {
    if (mediaType === "application/pdf") {
      this.#encodedBytes += encoded;
    } else if (isUtf8(bytes())) {
      return;
    }
    // What is no UTF-8 may grow when somebody reads it as text.
    this.#files += 1;
    this.#fileBytes += size;
  }

  /** A token by its id, which takes so many bytes of the body. */
  tokenId(encoded: number): void {
    this.#tokenIds += 1;
    this.#encodedBytes += encoded;
  }

  get bounds(): AskBounds {
    const prompt = this.#prompt();
    return { ...prompt, outputTokensMax: this.#outputTokensMax, choices: this.#choices };
  }

  get embedBounds(): EmbedBounds {
    return { ...this.#prompt(), tokenIds: this.#tokenIds };
  }

  #prompt(): PromptBounds {
    return {
      images: this.#images,
      sounds: this.#sounds,
      audioBytes: this.#audioBytes,
      files: this.#files,
      filesElsewhere: this.#filesElsewhere,
      fileBytes: this.#fileBytes,
      encodedBytes: this.#encodedBytes,
    };
  }
}

/** At most so many bytes come of base64. */
export function sizeBase64(characters: number): number {
  return Math.ceil((characters * 3) / 4);
}
