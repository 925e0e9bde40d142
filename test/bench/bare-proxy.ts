/**
 * What a proxy costs in Node when it does nothing: node:http in front, undici's dispatch behind, each body passed on as it
 * is, all that one read of the upstream brought in one write. The reference of the REST rows, plain and streamed.
 * `node bare-proxy.ts UPSTREAM_ORIGIN` prints a line with its port and serves until it is killed.
 */
import { createServer, type IncomingHttpHeaders, type ServerResponse } from "node:http";
import { Agent, type Dispatcher } from "undici";
import { announceReady } from "./ready.ts";

const origin = process.argv[2] ?? "http://127.0.0.1:1";
const agent = new Agent({ bodyTimeout: 0, headersTimeout: 0 });

class Passing implements Dispatcher.DispatchHandler {
  readonly #response: ServerResponse;
  #pieces: Buffer[] = [];

  constructor(response: ServerResponse) {
    this.#response = response;
  }

  onRequestStart(): void {}

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: IncomingHttpHeaders,
  ): void {
    const { connection: _hop, "transfer-encoding": _framing, ...kept } = headers;
    this.#response.writeHead(status, kept);
  }

  onResponseData(_controller: Dispatcher.DispatchController, piece: Buffer): void {
    this.#pieces.push(piece);
    if (this.#pieces.length === 1) process.nextTick(flush, this);
  }

  onResponseEnd(): void {
    this.#response.end(this.#take());
  }

  onResponseError(): void {
    this.#response.destroy();
  }

  flush(): void {
    const bytes = this.#take();
    if (bytes !== undefined) this.#response.write(bytes);
  }

  #take(): Buffer | undefined {
    const pieces = this.#pieces;
    this.#pieces = [];
    return pieces.length > 1 ? Buffer.concat(pieces) : pieces[0];
  }
}

function flush(passing: Passing): void {
  passing.flush();
}

const server = createServer((request, response) => {
  const pieces: Buffer[] = [];
  request.on("data", (piece: Buffer) => pieces.push(piece));
  request.on("end", () => {
    const [first] = pieces;
    const body = pieces.length === 1 && first !== undefined ? first : Buffer.concat(pieces);
    agent.dispatch(
      {
        origin,
        path: request.url ?? "/",
        method: "POST",
        headers: { "content-type": "application/json" },
        body,
      },
      new Passing(response),
    );
  });
});
server.listen(0, "127.0.0.1", () => announceReady(server));
