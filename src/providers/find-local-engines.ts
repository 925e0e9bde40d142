import { Agent, request } from "undici";
import { z } from "zod";
import type { Clock } from "../mesh/clock.ts";

const TIMEOUT_MS = 300;
const BYTES_MAX = 1024 * 1024;

/** An inference engine that answers on this machine. */
export interface LocalEngine {
  /** Short and usable as a provider's id: `ollama`, `vllm`, `llamacpp`, `lmstudio`. */
  readonly name: string;
  /** As a provider's base URL, such as `http://127.0.0.1:11434/v1`. */
  readonly baseUrl: string;
  readonly models: readonly string[];
}

/** A place to look. */
export interface EnginePort {
  /** What usually listens there. */
  readonly name: string;
  readonly port: number;
}

/** Where the usual engines listen when nobody told them otherwise. */
export const ENGINE_PORTS: readonly EnginePort[] = [
  { name: "ollama", port: 11434 },
  { name: "vllm", port: 8000 },
  { name: "llamacpp", port: 8080 },
  { name: "lmstudio", port: 1234 },
];

/** How to look for engines. */
export interface LocalEngineSearch {
  readonly clock: Clock;
  /** Default: ENGINE_PORTS. */
  readonly ports?: readonly EnginePort[];
  /** Ports that Weir itself listens on: its own doors answer like an engine. */
  readonly ownPorts?: readonly number[];
  /** Default: 300 ms. */
  readonly timeoutMs?: number;
}

/**
 * Asks each usual port of this machine for its models, all at once. What does not answer in time,
 * or not like an engine, is left out; so is another Weir, which would send requests round in a
 * circle. Never rejects.
 */
export async function findLocalEngines(search: LocalEngineSearch): Promise<LocalEngine[]> {
  const own = new Set(search.ownPorts ?? []);
  const agent = new Agent({ allowH2: false });
  try {
    const ports = (search.ports ?? ENGINE_PORTS).filter(({ port }) => !own.has(port));
    const found = await Promise.all(ports.map((place) => probe(agent, place, search)));
    return found.filter((engine) => engine !== undefined);
  } finally {
    await agent.destroy();
  }
}

async function probe(
  agent: Agent,
  place: EnginePort,
  search: LocalEngineSearch,
): Promise<LocalEngine | undefined> {
  const baseUrl = `http://127.0.0.1:${place.port}/v1`;
  const abort = new AbortController();
  const timer = search.clock.after(search.timeoutMs ?? TIMEOUT_MS, () => abort.abort());
  try {
    const response = await request(`${baseUrl}/models`, {
      dispatcher: agent,
      signal: abort.signal,
      headers: { accept: "application/json", "accept-encoding": "identity" },
    });
    const body = await readText(response.body);
    if (response.statusCode !== 200 || isWeir(response.headers)) return undefined;
    const list = modelList.safeParse(JSON.parse(body));
    if (!list.success || list.data.data.some(({ owned_by: owner }) => owner === "weir")) {
      return undefined;
    }
    const owner = list.data.data[0]?.owned_by ?? "";
    const models = list.data.data.map(({ id }) => id);
    return { name: NAMES_BY_OWNER.get(owner) ?? place.name, baseUrl, models };
  } catch {
    // Nothing there, something else there, or too slow: all the same to a search.
    return undefined;
  } finally {
    timer.cancel();
  }
}

/** Engines can be told by whom they say their models belong to, wherever they listen. */
const NAMES_BY_OWNER = new Map([
  ["library", "ollama"],
  ["vllm", "vllm"],
  ["llamacpp", "llamacpp"],
  ["organization_owner", "lmstudio"],
  ["sglang", "sglang"],
]);

const modelList = z.object({
  data: z.array(z.object({ id: z.string().min(1), owned_by: z.string().optional() })),
});

function isWeir(headers: Readonly<Record<string, unknown>>): boolean {
  return Object.keys(headers).some((name) => name.startsWith("x-weir-"));
}

async function readText(body: AsyncIterable<Buffer>): Promise<string> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const piece of body) {
    bytes += piece.length;
    if (bytes > BYTES_MAX) throw new Error("too long for a list of models");
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString("utf8");
}
