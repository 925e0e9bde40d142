import type { ProviderEntry } from "../../mesh/target.ts";

/**
 * In what vendors of this dialect differ, where it matters for requests that are translated into
 * it.
 */
export interface VendorTraits {
  /**
   * OpenAI's own API or Azure's: knows `developer` messages and `max_completion_tokens`, and
   * refuses fields that it does not know. The others know `system` and `max_tokens`.
   */
  readonly strict: boolean;
  /** OpenRouter's API: knows `reasoning`, `usage`, `session_id` and `cache_control`. */
  readonly openRouter: boolean;
}

const known = new WeakMap<ProviderEntry, VendorTraits>();

/**
 * Judged by the catalogue's name when there is one, else by the address; once for each provider.
 */
export function findVendorTraits(provider: ProviderEntry): VendorTraits {
  const before = known.get(provider);
  if (before !== undefined) return before;
  const catalogue = provider.resource.catalogue;
  const address = provider.baseUrls[0] ?? "";
  const traits: VendorTraits = {
    strict:
      catalogue === "openai" ||
      catalogue === "azure" ||
      /^https?:\/\/([^/]*\.)?(openai\.com|azure\.com)(:\d+)?(\/|$)/.test(address),
    openRouter:
      catalogue === "openrouter" ||
      /^https?:\/\/([^/]*\.)?openrouter\.ai(:\d+)?(\/|$)/.test(address),
  };
  known.set(provider, traits);
  return traits;
}
