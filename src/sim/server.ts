import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { anthropicChat, readCountAsk } from "../dialects/anthropic/index.ts";
import type { ChatDialect } from "../dialects/dialect.ts";
import { openaiChat, openaiEmbed } from "../dialects/openai/index.ts";
import { Cancellation } from "../mesh/cancellation.ts";
import type { Clock } from "../mesh/clock.ts";
import { asMeshError, MeshError } from "../mesh/errors.ts";
import { isJsonObject, type JsonObject } from "../mesh/json.ts";
import { createSeededRandom, type Random } from "../mesh/random.ts";
import { answerEmbed, SIM_CHAT_MODELS, SIM_EMBED_MODELS } from "./engine.ts";
import { drawFault, planDelays } from "./faults.ts";
import { readSettings, type SimSettings } from "./parameters.ts";
import { waitFor } from "./playback.ts";
import { countPrompt } from "./prompt.ts";
import { refuseWith, sendJson } from "./replies.ts";
import { sendBroken, serveChat, strike } from "./served-chat.ts";

const BODY_BYTES_MAX = 64 * 1024 * 1024;
/**
 * Longer than clients keep idle connections, so that no request meets a connection that is being
 * closed.
 */
const KEEP_ALIVE_MS = 120_000;

/** Where and how the simulated engine is served. */
export interface SimServerOptions {
  readonly host: string;
  /** 0 takes any free one. */
  readonly port: number;
  readonly clock: Clock;
  /** Decides by `fault_rate`. Default: a seeded one, so that a run repeats. */
  readonly random?: Random;
}

/** The simulated engine, served. */
export interface SimServer {
  readonly port: number;
  stats(): SimStats;
  /** Closes all connections at once. */
  close(): Promise<void>;
}

/** What the simulated engine has seen; also `GET /sim/stats`. */
export interface SimStats {
  /** Requests to models, refused ones included. */
  readonly requests: number;
  /** Requests that are being answered. */
  readonly active: number;
  /** Requests whose client left before the answer was complete. */
  readonly aborted: number;
  /** When the last of those left, in milliseconds since 1970. Null when there was none. */
  readonly lastAbortWallMs: number | null;
}

/**
 * Serves the simulated engine over HTTP in the dialects of OpenAI (`/v1/chat/completions`,
 * `/v1/embeddings`) and Anthropic (`/v1/messages`, `/v1/messages/count_tokens`), with `/v1/models`
 * and `/sim/stats` beside. Any credential will do.
 */
export async function startSimServer(options: SimServerOptions): Promise<SimServer> {
  const served = new SimRequests(options.clock, options.random ?? createSeededRandom(1));
  const server = createServer((request, response) => {
    void served.serve(request, response);
  });
  server.keepAliveTimeout = KEEP_ALIVE_MS;
  server.requestTimeout = 0;
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.port, options.host, resolve);
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port to listen on");
  return {
    port: address.port,
    stats: () => served.stats(),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** One request on its way. */
interface Visit {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly cancellation: Cancellation;
}

/** Serves requests and counts them. */
class SimRequests {
  readonly #clock: Clock;
  readonly #random: Random;
  #requests = 0;
  #active = 0;
  #aborted = 0;
  #lastAbortWallMs: number | null = null;

  constructor(clock: Clock, random: Random) {
    this.#clock = clock;
    this.#random = random;
  }

  stats(): SimStats {
    return {
      requests: this.#requests,
      active: this.#active,
      aborted: this.#aborted,
      lastAbortWallMs: this.#lastAbortWallMs,
    };
  }

  /** Never rejects: what goes wrong is told to the client. */
  async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = (request.url ?? "/").split("?", 1)[0] ?? "/";
    const dialect = path.startsWith("/v1/messages") ? anthropicChat : openaiChat;
    if (request.method === "GET") {
      this.#answerGet(path, request, response);
      return;
    }
    const visit = { request, response, cancellation: new Cancellation() };
    this.#watch(visit);
    try {
      const body = await readBody(request);
      await this.#answerPost(path, body, visit);
    } catch (thrown) {
      if (visit.cancellation.cause === undefined) {
        refuseWith(dialect, asMeshError(thrown), response);
      }
    }
  }

  #watch({ response, cancellation }: Visit): void {
    this.#requests++;
    this.#active++;
    response.once("close", () => {
      this.#active--;
      if (response.writableFinished) return;
      this.#aborted++;
      this.#lastAbortWallMs = this.#clock.wallMs();
      cancellation.cancel(new MeshError("CALLER_GONE", "The client closed the connection."));
    });
  }

  #answerGet(path: string, request: IncomingMessage, response: ServerResponse): void {
    if (path === "/sim/stats") sendJson(response, 200, { ...this.stats() });
    else if (path === "/v1/models") sendJson(response, 200, listModels(request));
    else refuseWith(openaiChat, createRouteUnknown(path), response);
  }

  async #answerPost(path: string, body: ReadBody, visit: Visit): Promise<void> {
    switch (path) {
      case "/v1/chat/completions":
        return await this.#answerChat(openaiChat, body, visit);
      case "/v1/messages":
        return await this.#answerChat(anthropicChat, body, visit);
      case "/v1/messages/count_tokens":
        return await this.#answerCount(body, visit);
      case "/v1/embeddings":
        return await this.#answerEmbed(body, visit);
      default:
        throw createRouteUnknown(path);
    }
  }

  async #answerChat(dialect: ChatDialect, { json, bytes }: ReadBody, visit: Visit): Promise<void> {
    const ask = dialect.client.readAsk(json, bytes);
    const settings = this.#settle(ask.model, ask.chat().providerOptions, json);
    const { response, cancellation } = visit;
    await serveChat({ dialect, ask, settings, response, cancellation, clock: this.#clock });
  }

  async #answerCount({ json, bytes }: ReadBody, visit: Visit): Promise<void> {
    const ask = readCountAsk(json, bytes);
    const { parameters } = this.#settle(ask.model, ask.chat().providerOptions, json);
    const served = { dialect: anthropicChat, clock: this.#clock, ...visit };
    if (await strike(served, parameters)) return;
    const { headersMs, firstTokenMs } = planDelays(parameters);
    await waitFor(this.#clock, headersMs + firstTokenMs, visit.cancellation);
    sendBroken(visit.response, parameters, { input_tokens: countPrompt(ask.chat()) });
  }

  async #answerEmbed({ json, bytes }: ReadBody, visit: Visit): Promise<void> {
    const ask = openaiEmbed.client.readAsk(json, bytes);
    const request = ask.request();
    const { model, parameters } = this.#settle(ask.model, request.providerOptions, json);
    const { embeddings, usage } = answerEmbed(model, request);
    const served = { dialect: openaiChat, clock: this.#clock, ...visit };
    if (await strike(served, parameters)) return;
    const { headersMs, firstTokenMs } = planDelays(parameters);
    await waitFor(this.#clock, headersMs + firstTokenMs, visit.cancellation);
    const answer = { $typeName: "weir.v1.EmbedResponse" as const, embeddings, usage };
    sendBroken(visit.response, parameters, openaiEmbed.client.writeAnswer(answer, ask));
  }

  /** The object `sim` stands at the top of a body, whatever a codec makes of it. */
  #settle(model: string, providerOptions: string, json: JsonObject): SimSettings {
    const options = json.sim === undefined ? providerOptions : JSON.stringify({ sim: json.sim });
    const settings = readSettings(model, undefined, options);
    return { model: settings.model, parameters: drawFault(settings.parameters, this.#random) };
  }
}

interface ReadBody {
  readonly json: JsonObject;
  readonly bytes: number;
}

async function readBody(request: IncomingMessage): Promise<ReadBody> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const piece of request) {
    bytes += piece.length;
    if (bytes > BODY_BYTES_MAX) {
      throw new MeshError("REQUEST_TOO_LARGE", `A body may have ${BODY_BYTES_MAX} bytes.`);
    }
    pieces.push(piece);
  }
  let json: unknown;
  try {
    json = JSON.parse(Buffer.concat(pieces).toString("utf8"));
  } catch {
    throw new MeshError("INVALID_REQUEST", "The body must be JSON.");
  }
  if (isJsonObject(json)) return { json, bytes };
  throw new MeshError("INVALID_REQUEST", "The body must be a JSON object.");
}

/** The list of models, in the dialect that the headers speak of. */
function listModels(request: IncomingMessage): JsonObject {
  const names = [...SIM_CHAT_MODELS, ...SIM_EMBED_MODELS];
  if (request.headers["anthropic-version"] !== undefined) {
    const data = names.map((id) => ({
      type: "model",
      id,
      display_name: id,
      created_at: "2026-01-01T00:00:00Z",
    }));
    return { data, has_more: false, first_id: names[0], last_id: names.at(-1) };
  }
  const data = names.map((id) => ({ id, object: "model", created: 0, owned_by: "weir-sim" }));
  return { object: "list", data };
}

function createRouteUnknown(path: string): MeshError {
  return new MeshError("ROUTE_NOT_FOUND", `The simulated engine has no route ${path}.`);
}
