import { MeshError } from "../../mesh/errors.ts";

/** What is wrong with a request, gathered so that the caller learns of everything at once. */
export class Violations {
  #field = "";
  #texts: string[] | undefined;
  #more = 0;

  /** Notes a violation of `field`, named as in the request's message. */
  add(field: string, text: string): void {
    if (this.#texts === undefined) {
      this.#field = field;
      this.#texts = [`${field}: ${text}`];
    } else if (this.#texts.length < LISTED_MAX) this.#texts.push(`${field}: ${text}`);
    else this.#more += 1;
  }

  /** Notes a violation unless `value` is unset or within the range. NaN is within none. */
  range(field: string, value: number | undefined, min: number, max: number): void {
    if (value === undefined || (value >= min && value <= max)) return;
    const text = max === Number.POSITIVE_INFINITY ? `at least ${min}` : `from ${min} to ${max}`;
    this.add(field, `must be ${text}, and is ${value}.`);
  }

  /** Notes a violation when a text is longer, in bytes of UTF-8. */
  bytes(field: string, value: string, max: number): void {
    // No character has more than three bytes a UTF-16 unit, so short texts need no count.
    if (value.length * 3 <= max || Buffer.byteLength(value) <= max) return;
    this.add(field, `must have at most ${max} bytes.`);
  }

  /** Notes a violation when an enum has a number that it does not know. */
  member(field: string, value: number, max: number): void {
    if (value < 0 || value > max) this.add(field, `has the unknown value ${value}.`);
  }

  /**
   * Throws INVALID_REQUEST that lists the violations and names the first field, when there are any.
   */
  throwIfAny(): void {
    if (this.#texts === undefined) return;
    const rest = this.#more > 0 ? ` And ${this.#more} more.` : "";
    throw new MeshError("INVALID_REQUEST", `${this.#texts.join(" ")}${rest}`, {
      field: this.#field,
    });
  }
}

/** More than a person would read at once. */
const LISTED_MAX = 8;

const LABELS_MAX = 32;
const LABEL_VALUE_BYTES_MAX = 255;
const LABEL_KEY = /^[a-z0-9_.-]{1,63}$/;
const FALLBACK_MODELS_MAX = 8;
const PSEUDONYM_BYTES_MAX = 128;

/** What requests of all kinds share. */
export interface CommonFields {
  readonly model: string;
  readonly fallbackModels: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  readonly endUser: string;
  readonly providerOptions: string;
}

/** Checks what requests of all kinds share. */
export function validateCommonFields(request: CommonFields, violations: Violations): void {
  if (request.model === "") violations.add("model", "is required.");
  validateFallbackModels(request.fallbackModels, violations);
  validateLabels(request.labels, violations);
  violations.bytes("end_user", request.endUser, PSEUDONYM_BYTES_MAX);
  if (request.providerOptions !== "") validateJsonObject(request.providerOptions, violations);
}

function validateFallbackModels(models: readonly string[], violations: Violations): void {
  if (models.length > FALLBACK_MODELS_MAX) {
    violations.add("fallback_models", `must be at most ${FALLBACK_MODELS_MAX}.`);
    return;
  }
  for (let at = 0; at < models.length; at++) {
    if (models[at] === "") violations.add(`fallback_models[${at}]`, "must not be empty.");
  }
}

function validateLabels(labels: Readonly<Record<string, string>>, violations: Violations): void {
  let count = 0;
  for (const key in labels) {
    count += 1;
    if (count > LABELS_MAX) {
      violations.add("labels", `must be at most ${LABELS_MAX}.`);
      return;
    }
    if (!LABEL_KEY.test(key)) {
      violations.add("labels", "must have keys of 1 to 63 of the characters a-z 0-9 _ . -");
    }
    violations.bytes(`labels.${key.slice(0, 63)}`, labels[key] ?? "", LABEL_VALUE_BYTES_MAX);
  }
}

function validateJsonObject(text: string, violations: Violations): void {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return;
  } catch {
    // Said below, like any other text that is no object.
  }
  violations.add("provider_options", "must be a JSON object, or empty.");
}
