import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { JsonObject } from "../../src/mesh/json.ts";
import { createSeededRandom } from "../../src/mesh/random.ts";

/** An answer to replay. */
export interface Replay {
  readonly status: number;
  readonly stream: boolean;
  readonly res: string;
}

/** A request as it arrived. */
export interface Arrival {
  readonly path: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: JsonObject;
}

/**
 * An upstream that answers each model's name with what was recorded under it. Streams come in pieces that end anywhere, also
 * within characters, and the same ones each time.
 */
export class ReplayUpstream {
  readonly #server: Server;
  readonly #replays = new Map<string, Replay>();
  readonly #arrivals = new Map<string, Arrival>();
  readonly #random = createSeededRandom(7);

  private constructor(server: Server) {
    this.#server = server;
    server.on("request", (request, response) => void this.#serve(request, response));
  }

  static async start(): Promise<ReplayUpstream> {
    const upstream = new ReplayUpstream(createServer());
    await new Promise<void>((resolve) => upstream.#server.listen(0, "127.0.0.1", resolve));
    return upstream;
  }

  /** As a provider's base URL. */
  get baseUrl(): string {
    const address = this.#server.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    return `http://127.0.0.1:${port}/v1`;
  }

  put(model: string, replay: Replay): void {
    this.#replays.set(model, replay);
  }

  /** The last request for a model. */
  arrival(model: string): Arrival | undefined {
    return this.#arrivals.get(model);
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const pieces: Buffer[] = [];
    for await (const piece of request) pieces.push(piece);
    const body: JsonObject = JSON.parse(Buffer.concat(pieces).toString("utf8"));
    const model = String(body.model);
    this.#arrivals.set(model, { path: request.url ?? "", headers: request.headers, body });
    const replay = this.#replays.get(model);
    if (replay === undefined) {
      response.writeHead(404).end(`nothing is recorded as ${model}`);
      return;
    }
    const type = replay.stream ? "text/event-stream" : "application/json";
    response.writeHead(replay.status, { "content-type": type });
    if (!replay.stream) {
      response.end(replay.res);
      return;
    }
    const bytes = Buffer.from(replay.res);
    for (let at = 0; at < bytes.length; ) {
      const end = at + 1 + Math.floor(this.#random.unit() * 4000);
      response.write(bytes.subarray(at, end));
      at = end;
      // A turn of the event loop, so that pieces travel apart.
      await new Promise((resolve) => setImmediate(resolve));
    }
    response.end();
  }
}
