/** A vendor that is registered at the first start when its usual environment variable is set. */
export interface Vendor {
  /** `providers/{name}`, and the prefix of its models. */
  readonly name: string;
  readonly displayName: string;
  readonly keyVariable: string;
  readonly dialect: "openai" | "anthropic";
  /** Empty means the dialect's usual one. */
  readonly baseUrl: string;
  /**
   * The variable that moves it elsewhere, as the vendor's own SDK reads it. Empty means that there
   * is none.
   */
  readonly urlVariable: string;
}

export const vendors: readonly Vendor[] = [
  {
    name: "openai",
    displayName: "OpenAI",
    keyVariable: "OPENAI_API_KEY",
    dialect: "openai",
    baseUrl: "",
    urlVariable: "OPENAI_BASE_URL",
  },
  {
    name: "anthropic",
    displayName: "Anthropic",
    keyVariable: "ANTHROPIC_API_KEY",
    dialect: "anthropic",
    baseUrl: "",
    urlVariable: "ANTHROPIC_BASE_URL",
  },
  compatible("groq", "Groq", "GROQ_API_KEY", "https://api.groq.com/openai/v1"),
  compatible("mistral", "Mistral", "MISTRAL_API_KEY", "https://api.mistral.ai/v1"),
  compatible("deepseek", "DeepSeek", "DEEPSEEK_API_KEY", "https://api.deepseek.com/v1"),
  compatible("openrouter", "OpenRouter", "OPENROUTER_API_KEY", "https://openrouter.ai/api/v1"),
  compatible("together", "Together AI", "TOGETHER_API_KEY", "https://api.together.xyz/v1"),
  compatible("cerebras", "Cerebras", "CEREBRAS_API_KEY", "https://api.cerebras.ai/v1"),
  compatible("xai", "xAI", "XAI_API_KEY", "https://api.x.ai/v1"),
  compatible(
    "fireworks",
    "Fireworks AI",
    "FIREWORKS_API_KEY",
    "https://api.fireworks.ai/inference/v1",
  ),
  compatible("perplexity", "Perplexity", "PERPLEXITY_API_KEY", "https://api.perplexity.ai"),
];

/**
 * Vendors whose variable is looked for so that nobody wonders, and whose dialect is not there yet.
 */
export const plannedVendors: ReadonlyMap<string, string> = new Map([
  ["GEMINI_API_KEY", "gemini"],
  ["AWS_ACCESS_KEY_ID", "bedrock"],
  ["AZURE_OPENAI_API_KEY", "azure"],
  ["COHERE_API_KEY", "cohere"],
]);

/**
 * The base URL of a vendor in these surroundings. SDKs of Anthropic's append `/v1` to theirs by
 * themselves; Weir's base URLs have it. Undefined when the variable holds no URL.
 */
export function resolveBaseUrl(vendor: Vendor, env: Environment): string | undefined {
  const given = vendor.urlVariable === "" ? "" : (env[vendor.urlVariable] ?? "").trim();
  if (given === "") return vendor.baseUrl;
  const url = URL.parse(given);
  if (url === null || !/^https?:$/.test(url.protocol) || url.search !== "" || url.hash !== "") {
    return undefined;
  }
  const bare = given.replace(/\/+$/, "");
  return vendor.dialect === "anthropic" && !bare.endsWith("/v1") ? `${bare}/v1` : bare;
}

/** Variables of the process. */
export type Environment = Readonly<Record<string, string | undefined>>;

function compatible(
  name: string,
  displayName: string,
  keyVariable: string,
  baseUrl: string,
): Vendor {
  return { name, displayName, keyVariable, dialect: "openai", baseUrl, urlVariable: "" };
}
