import { createRequire } from "node:module";
import type { ModelInfo } from "@pydantic/genai-prices";
import type { Price } from "../../gen/weir/v1/usage_pb.ts";
import type { Clock } from "../mesh/clock.ts";
import { pricesAt } from "./conditional.ts";
import { mapPrice } from "./price.ts";

/**
 * What is publicly known of the models of vendors. The data is part of the release and is never
 * fetched.
 */
export interface Catalogue {
  /**
   * The list price that is in force today; undefined when the vendor or the model is not known, or
   * is charged by something that Weir does not count, such as hours of audio. Of prices that depend
   * on the time of day the dearest is taken.
   */
  findPrice(question: CatalogueQuestion): Price | undefined;
  /** What else is known of a model; undefined when it is unknown. */
  findModelFacts(question: CatalogueQuestion): ModelFacts | undefined;
}

/** Which model at which vendor. */
export interface CatalogueQuestion {
  /** The vendor's name in the catalogue, such as `openai`. Empty means to guess by base URL. */
  readonly catalogue: string;
  /** Such as `https://api.openai.com/v1`; empty means unknown. */
  readonly baseUrl: string;
  /** The model's name there. */
  readonly upstreamModel: string;
}

/** Facts beside the price. */
export interface ModelFacts {
  /** Most tokens of input and output together. */
  readonly contextTokensMax: number | undefined;
  readonly deprecated: boolean;
}

/** Behind a wildcard callers choose the names, so what is remembered has a cap. */
const ENTRIES_MAX = 4096;
const NAME_LENGTH_MAX = 256;
const DAY_MS = 86_400_000;

interface Entry {
  readonly price: Price | undefined;
  readonly facts: ModelFacts | undefined;
}

const unknown: Entry = { price: undefined, facts: undefined };

type Package = typeof import("@pydantic/genai-prices");

let loaded: Package | undefined;

/** The data takes five megabytes: only a process that is asked for a price has them. */
function prices(): Package {
  if (loaded !== undefined) return loaded;
  const fresh: Package = createRequire(import.meta.url)("@pydantic/genai-prices");
  loaded = fresh;
  return fresh;
}

export function createCatalogue(clock: Clock): Catalogue {
  const entries = new Map<string, Entry>();
  let day = 0;

  const find = (question: CatalogueQuestion): Entry => {
    const now = clock.wallMs();
    // Prices change at midnight UTC.
    if (Math.floor(now / DAY_MS) !== day) {
      entries.clear();
      day = Math.floor(now / DAY_MS);
    }
    const id = `${question.catalogue}\n${question.baseUrl}\n${question.upstreamModel}`;
    const known = entries.get(id);
    if (known !== undefined) return known;
    if (entries.size >= ENTRIES_MAX) entries.clear();
    const entry = lookUp(question, now);
    entries.set(id, entry);
    return entry;
  };
  return {
    findPrice: (question) => find(question).price,
    findModelFacts: (question) => find(question).facts,
  };
}

function lookUp(question: CatalogueQuestion, wallMs: number): Entry {
  if (question.upstreamModel.length > NAME_LENGTH_MAX) return unknown;
  const vendor = findVendor(question);
  if (vendor === undefined) return unknown;
  const model = findModel(vendor, question.upstreamModel);
  if (model === undefined) return unknown;
  return {
    price: mapPrice(pricesAt(model.prices, wallMs)),
    facts: {
      contextTokensMax: model.context_window,
      deprecated: model.deprecated === true,
    },
  };
}

/**
 * By name, else by base URL; never by the model's name alone, since an engine of our own may serve
 * any name.
 */
function findVendor({ catalogue, baseUrl }: CatalogueQuestion): string | undefined {
  if (catalogue !== "") {
    const named = prices().findProvider({ providerId: vendorAliases.get(catalogue) ?? catalogue });
    return named?.id;
  }
  return baseUrl === "" ? undefined : prices().findProvider({ providerApiUrl: baseUrl })?.id;
}

const vendorAliases = new Map([
  ["xai", "x-ai"],
  ["gemini", "google"],
  ["vertex", "google"],
  ["bedrock", "aws"],
]);

/** The package matches names only in passing, while it computes a cost; no tokens cost nothing. */
function findModel(vendor: string, name: string): ModelInfo | undefined {
  return prices().calcPrice({}, name, { providerId: vendor })?.model;
}
