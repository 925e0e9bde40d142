import type { UpstreamRequest } from "../dialects/dialect.ts";
import { MeshError } from "../mesh/errors.ts";
import type { ProviderEntry, Target } from "../mesh/target.ts";

/** Where a request goes and what it says beside its body. */
export interface OutgoingRequest {
  /** Scheme, host and port. */
  readonly origin: string;
  readonly path: string;
  /** Names and values in turn. */
  readonly headers: string[];
}

/**
 * Addresses requests: base URLs in turn, the vendor's credential, the headers of provider and
 * target. What does not change from call to call is made once for each provider and target, and is
 * forgotten together with it.
 */
export class RequestAddresser {
  readonly #providers = new WeakMap<ProviderEntry, ProviderAddresses>();
  readonly #targets = new WeakMap<Target, HeaderPlan>();

  /**
   * Throws UPSTREAM_CREDENTIAL when the provider's secret is missing, UPSTREAM_FAILED when its
   * address is no URL.
   */
  address(target: Target, request: UpstreamRequest, requestId: string): OutgoingRequest {
    const { provider } = target;
    if (provider.fault !== undefined) {
      const message = "The upstream is not configured well. Tell whoever runs Weir.";
      throw new MeshError("UPSTREAM_CREDENTIAL", message, { internal: provider.fault });
    }
    const base = this.#addressesOf(provider).next();
    const headers = this.#headersOf(target).write(request.headers);
    headers.push("x-request-id", requestId);
    return { origin: base.origin, path: base.path + request.path + base.query, headers };
  }

  #addressesOf(provider: ProviderEntry): ProviderAddresses {
    const known = this.#providers.get(provider);
    if (known !== undefined) return known;
    const addresses = new ProviderAddresses(provider);
    this.#providers.set(provider, addresses);
    return addresses;
  }

  #headersOf(target: Target): HeaderPlan {
    const known = this.#targets.get(target);
    if (known !== undefined) return known;
    const plan = new HeaderPlan(target);
    this.#targets.set(target, plan);
    return plan;
  }
}

interface BaseAddress {
  readonly origin: string;
  /** Without a slash at the end. */
  readonly path: string;
  /** With its question mark, or empty; Azure has its API version there. */
  readonly query: string;
}

/** The base URLs of one provider, taken in turn. */
class ProviderAddresses {
  readonly #bases: readonly BaseAddress[];
  #next = 0;

  constructor(provider: ProviderEntry) {
    this.#bases = provider.baseUrls.map(parseBase);
  }

  next(): BaseAddress {
    const base = this.#bases[this.#next];
    if (base === undefined) throw createAddressError("the provider has no base URL");
    this.#next = (this.#next + 1) % this.#bases.length;
    return base;
  }
}

/**
 * The headers of one target: those that Weir and the operator set, ready to be joined by those of a
 * request.
 */
class HeaderPlan {
  readonly #always: readonly string[];
  readonly #names = new Set<string>();

  constructor(target: Target) {
    const headers = new Map([
      ["content-type", "application/json"],
      // What is not compressed needs no decoder, and Node's Brotli decoder must not be fed by
      // strangers.
      ["accept-encoding", "identity"],
      ["user-agent", "weir"],
    ]);
    for (const source of [target.provider.resource.headers, target.headers]) {
      for (const [name, value] of Object.entries(source)) headers.set(name.toLowerCase(), value);
    }
    const credential = writeCredential(target.provider);
    if (credential !== undefined) headers.set(...credential);
    for (const name of headers.keys()) this.#names.add(name);
    this.#always = [...headers].flat();
  }

  /** The operator's headers go over those that the dialect sets, such as a vendor's API version. */
  write(own: Readonly<Record<string, string>>): string[] {
    const headers = this.#always.slice();
    for (const name in own) {
      const value = own[name];
      if (value !== undefined && !this.#names.has(name)) headers.push(name, value);
    }
    return headers;
  }
}

function writeCredential(provider: ProviderEntry): [name: string, value: string] | undefined {
  const { secret } = provider;
  if (secret === undefined) return undefined;
  // Azure and some gateways want the bare key in a header of their own.
  const usual = provider.dialect === "anthropic" ? "x-api-key" : "authorization";
  const name = (provider.resource.options.auth_header ?? usual).toLowerCase();
  return [name, name === "authorization" ? `Bearer ${secret}` : secret];
}

function parseBase(text: string): BaseAddress {
  const url = URL.parse(text);
  if (url === null || (url.protocol !== "http:" && url.protocol !== "https:")) {
    throw createAddressError(`${text} is not an http or https URL`);
  }
  return { origin: url.origin, path: url.pathname.replace(/\/+$/, ""), query: url.search };
}

function createAddressError(internal: string): MeshError {
  const message = "The upstream is not configured well. Tell whoever runs Weir.";
  return new MeshError("UPSTREAM_FAILED", message, { internal });
}
