/** How a client reaches Weir, and how it behaves when that fails. */
export interface WeirClientOptions {
  /** Such as `http://127.0.0.1:8080`; `https://` speaks TLS. Default `http://127.0.0.1:8080`. */
  readonly address?: string;
  /**
   * The key, `wk_…`; a function is asked for each attempt, so that a rotated key needs no restart.
   */
  readonly key: string | (() => string);
  /** The protocol on the wire. Default `grpc`. */
  readonly transport?: "grpc" | "connect";
  /**
   * How long a call may take, retries included, unless it says otherwise. In milliseconds. Default
   * 10 minutes.
   */
  readonly defaultTimeoutMs?: number;
  /** Pings that find dead connections; false sends none. */
  readonly keepalive?: KeepaliveOptions | false;
  /** What is done when Weir is UNAVAILABLE before anything was received; false does nothing. */
  readonly retry?: RetryOptions | false;
  readonly tls?: TlsOptions;
}

/** Pings are sent only while calls are under way. */
export interface KeepaliveOptions {
  /** Silence before a ping, in milliseconds. Default 30,000. */
  readonly intervalMs?: number;
  /** How long to wait for its answer, in milliseconds. Default 10,000. */
  readonly timeoutMs?: number;
}

/** Retries are paid from a budget, so that clients do not bury a Weir that struggles. */
export interface RetryOptions {
  /** Attempts for one call, the first included. Default 3. */
  readonly attempts?: number;
  /** Retries for each call, on the long run. Default 0.1: one call in ten. */
  readonly budgetRatio?: number;
  /** Retries a second that are free, for clients with few calls. Default 1. */
  readonly budgetPerSecond?: number;
  /** Longest wait before the second attempt, in milliseconds; it doubles with each. Default 100. */
  readonly backoffMs?: number;
  /** Longest wait before any attempt, in milliseconds. Default 5,000. */
  readonly backoffMaxMs?: number;
}

/** All in PEM. */
export interface TlsOptions {
  /** Authorities to trust instead of the system's. */
  readonly ca?: string;
  /** The client's own certificate, with `key`. */
  readonly cert?: string;
  readonly key?: string;
}

/** How one call is made. */
export interface CallOptions {
  /** How long it may take, retries included, in milliseconds. Default: the client's. */
  readonly timeoutMs?: number | undefined;
  /** Cancels the call, and with it the upstream's. */
  readonly signal?: AbortSignal | undefined;
}

/** The options with their defaults. */
export interface Settings {
  readonly url: URL;
  readonly key: () => string;
  readonly defaultTimeoutMs: number;
  readonly keepalive: Required<KeepaliveOptions> | undefined;
  readonly retry: Required<RetryOptions> | undefined;
  readonly tls: TlsOptions;
}

/** Throws a TypeError that says which option is wrong. */
export function readSettings(options: WeirClientOptions): Settings {
  const { key, defaultTimeoutMs = 600_000, keepalive = {}, retry = {}, tls = {} } = options;
  const settings: Settings = {
    url: parseAddress(options.address ?? "http://127.0.0.1:8080"),
    key: typeof key === "function" ? key : () => key,
    defaultTimeoutMs,
    keepalive:
      keepalive === false ? undefined : { intervalMs: 30_000, timeoutMs: 10_000, ...keepalive },
    retry:
      retry === false
        ? undefined
        : {
            attempts: 3,
            budgetRatio: 0.1,
            budgetPerSecond: 1,
            backoffMs: 100,
            backoffMaxMs: 5000,
            ...retry,
          },
    tls,
  };
  if (typeof key === "string" && !/^[\x21-\x7e]+$/.test(key)) {
    throw new TypeError("key must be a Weir key, wk_…, without blanks");
  }
  assertPositive("defaultTimeoutMs", defaultTimeoutMs);
  for (const [name, value] of Object.entries(settings.keepalive ?? {})) {
    assertPositive(`keepalive.${name}`, value);
  }
  for (const [name, value] of Object.entries(settings.retry ?? {})) {
    if (!(value >= 0)) throw new TypeError(`retry.${name} must be 0 or more`);
  }
  return settings;
}

function parseAddress(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    throw new TypeError(`address must be http://HOST:PORT or https://HOST:PORT, not "${text}"`);
  }
  return url;
}

function assertPositive(name: string, value: number): void {
  if (!(value > 0)) throw new TypeError(`${name} must be above 0`);
}
