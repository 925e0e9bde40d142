/**
 * The cheapest upstream that Node can be: raw sockets, bytes built beforehand, no parser beyond the length of a request.
 * `node mock-upstream.ts` prints a line with its port and serves until it is killed. By path:
 *
 * - `…/embeddings`: a vector
 * - `/hold/…`: a stream that says one word and then nothing
 * - `/paced/…`: a stream of one event every ten milliseconds
 * - anything else: a whole answer, or with `"stream":true` all events of a stream in one write
 */
import { createServer, type Socket } from "node:net";
import { announceReady } from "./ready.ts";
import {
  createEmbeddingResponse,
  createStreamChunks,
  createStreamHead,
  createUnaryResponse,
} from "./upstream-bytes.ts";

const PACE_MS = 10;

const unary = createUnaryResponse();
const embedding = createEmbeddingResponse();
const head = createStreamHead();
const chunks = createStreamChunks();
const burst = Buffer.concat([head, ...chunks]);
const opening = Buffer.concat([head, ...chunks.slice(0, 2)]);

const HEAD_END = Buffer.from("\r\n\r\n");
const STREAM_WISH = Buffer.from('"stream":true');
const LENGTH_FIELD = /\r\ncontent-length: *(\d+)/i;
const CHUNKED_FIELD = /\r\ntransfer-encoding: *chunked/i;
const CHUNKED_END = Buffer.from("0\r\n\r\n");

/** One connection of a client, which asks one thing after the other. */
class Connection {
  readonly #socket: Socket;
  #rest: Buffer | undefined;
  #pacer: NodeJS.Timeout | undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.on("data", (piece: Buffer) => this.#take(piece));
    socket.on("error", () => socket.destroy());
    socket.on("close", () => clearInterval(this.#pacer));
  }

  #take(piece: Buffer): void {
    let bytes = this.#rest === undefined ? piece : Buffer.concat([this.#rest, piece]);
    this.#rest = undefined;
    while (bytes.length > 0) {
      const end = findRequestEnd(bytes);
      if (end === undefined || end > bytes.length) {
        this.#rest = bytes;
        return;
      }
      this.#answer(bytes.subarray(0, end));
      bytes = bytes.subarray(end);
    }
  }

  #answer(request: Buffer): void {
    const path = request.toString("latin1", 5, request.indexOf(" ", 5));
    if (path.endsWith("/embeddings")) this.#socket.write(embedding);
    else if (!request.includes(STREAM_WISH)) this.#socket.write(unary);
    else if (path.startsWith("/paced/")) this.#pace();
    else this.#socket.write(path.startsWith("/hold/") ? opening : burst);
  }

  #pace(): void {
    let next = 2;
    this.#socket.write(opening);
    this.#pacer = setInterval(() => {
      const chunk = chunks[next++];
      if (chunk !== undefined) this.#socket.write(chunk);
      if (next >= chunks.length) clearInterval(this.#pacer);
    }, PACE_MS);
  }
}

/** Where the first request ends; undefined while its head is not whole. */
function findRequestEnd(bytes: Buffer): number | undefined {
  const headEnd = bytes.indexOf(HEAD_END);
  if (headEnd < 0) return undefined;
  const text = bytes.toString("latin1", 0, headEnd);
  const length = LENGTH_FIELD.exec(text)?.[1];
  if (length !== undefined) return headEnd + 4 + Number(length);
  if (!CHUNKED_FIELD.test(text)) return headEnd + 4;
  const end = bytes.indexOf(CHUNKED_END, headEnd + 4);
  return end < 0 ? undefined : end + CHUNKED_END.length;
}

const server = createServer((socket) => new Connection(socket));
server.listen({ host: "127.0.0.1", port: 0, backlog: 1024 }, () => announceReady(server));
