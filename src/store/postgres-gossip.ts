import { z } from "zod";
import { type Clock, pause } from "../mesh/clock.ts";
import type { Gossip } from "../mesh/gossip.ts";
import type { ProxyState } from "../mesh/hub.ts";
import { createId } from "../mesh/random.ts";
import { createClientConfig } from "./postgres-backend.ts";
import { PostgresListener } from "./postgres-listener.ts";
import { parsePostgresUrl } from "./postgres-url.ts";

const CHANNEL = "weir_proxies";
/** Postgres takes notices of less than 8,000 bytes. */
const NOTICE_BYTES_MAX = 7_500;
/** What is told of a proxy's troubles; the process that it is joined to knows all of it. */
const TEXT_MAX = 200;
const FAULTS_MAX = 3;
const LAST_WORD_MS = 1_000;

const stateSchema = z.object({
  proxyId: z.string(),
  version: z.string(),
  listen: z.string(),
  revision: z.number(),
  connectedWallMs: z.number(),
  refusedRevision: z.number(),
  refusal: z.string(),
  faults: z.array(z.string()),
});

/** One part of what a process says; a part with another number begins anew. */
const noticeSchema = z.object({
  from: z.string(),
  number: z.number(),
  part: z.number(),
  parts: z.number(),
  proxies: z.array(stateSchema),
});

type Notice = z.output<typeof noticeSchema>;

/** A gossip on Postgres' notices. */
export interface PostgresGossip extends Gossip {
  close(): Promise<void>;
}

/**
 * Speaks and hears on a connection of its own, which is made anew whenever it breaks. Through a
 * pooler that swallows notices nobody hears anything. Never rejects.
 */
export function openPostgresGossip(url: string, clock: Clock): PostgresGossip {
  return new NoticeGossip(url, clock);
}

/** What to say in notices that Postgres takes. */
export function writeNotices(
  from: string,
  number: number,
  proxies: readonly ProxyState[],
): readonly string[] {
  const parts: ProxyState[][] = [[]];
  let bytes = 0;
  for (const proxy of proxies.map(shorten)) {
    const size = Buffer.byteLength(JSON.stringify(proxy)) + 1;
    if (bytes + size > NOTICE_BYTES_MAX - 200) {
      parts.push([]);
      bytes = 0;
    }
    parts.at(-1)?.push(proxy);
    bytes += size;
  }
  return parts.map((part, at) => {
    return JSON.stringify({ from, number, part: at, parts: parts.length, proxies: part });
  });
}

/** Puts parts together again. */
export class NoticeReader {
  readonly #begun = new Map<string, Notice[]>();

  /** What a process says, once all its parts are there; undefined before, and for nonsense. */
  read(text: string): Pick<Notice, "from" | "proxies"> | undefined {
    const notice = parseNotice(text);
    if (notice === undefined) return undefined;
    const { from, number, part, parts } = notice;
    // Parts come in order, or not at all.
    const before = (this.#begun.get(from) ?? []).filter((each) => each.number === number);
    if (part !== before.length) {
      this.#begun.delete(from);
      return undefined;
    }
    const all = [...before, notice];
    if (all.length < parts) {
      this.#begun.set(from, all);
      return undefined;
    }
    this.#begun.delete(from);
    return { from, proxies: all.flatMap(({ proxies }) => proxies) };
  }
}

class NoticeGossip implements PostgresGossip {
  readonly #self = createId("ctl_");
  readonly #clock: Clock;
  readonly #listener: PostgresListener;
  readonly #reader = new NoticeReader();
  readonly #listeners = new Set<Parameters<Gossip["hear"]>[0]>();
  #last: readonly ProxyState[] = [];
  #number = 0;
  #telling: Promise<void> = Promise.resolve();

  constructor(url: string, clock: Clock) {
    this.#clock = clock;
    this.#listener = new PostgresListener({
      config: createClientConfig(parsePostgresUrl(url)),
      channel: CHANNEL,
      clock,
      heard: (payload) => this.#hear(payload),
      began: () => {
        this.#telling = this.#tell();
      },
    });
    this.#listener.open();
  }

  say(proxies: readonly ProxyState[]): void {
    this.#last = proxies;
    this.#telling = this.#tell();
  }

  hear(listener: Parameters<Gossip["hear"]>[0]): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  async close(): Promise<void> {
    this.#listeners.clear();
    // The last word shall be heard, and nobody waits long for a database that is away.
    await Promise.race([this.#telling, pause(this.#clock, LAST_WORD_MS)]);
    await Promise.race([this.#listener.close(), pause(this.#clock, LAST_WORD_MS)]);
  }

  /** Never rejects: what is not heard is said again. */
  async #tell(): Promise<void> {
    const { client } = this.#listener;
    if (client === undefined) return;
    this.#number += 1;
    const notices = writeNotices(this.#self, this.#number, this.#last);
    await Promise.all(
      notices.map((notice) =>
        client.query("SELECT pg_notify($1, $2)", [CHANNEL, notice]).catch(ignore),
      ),
    );
  }

  #hear(text: string): void {
    const said = this.#reader.read(text);
    if (said === undefined || said.from === this.#self) return;
    for (const listener of this.#listeners) listener(said.from, said.proxies);
  }
}

function parseNotice(text: string): Notice | undefined {
  try {
    return noticeSchema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

function shorten(proxy: ProxyState): ProxyState {
  return {
    ...proxy,
    version: proxy.version.slice(0, TEXT_MAX),
    listen: proxy.listen.slice(0, TEXT_MAX),
    refusal: proxy.refusal.slice(0, TEXT_MAX),
    faults: proxy.faults.slice(0, FAULTS_MAX).map((fault) => fault.slice(0, TEXT_MAX)),
  };
}

function ignore(): void {}
