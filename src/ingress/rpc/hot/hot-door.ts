import type { IncomingHttpHeaders } from "node:http2";
import type { Timer } from "../../../mesh/clock.ts";
import { type Place, Roster } from "../../../mesh/roster.ts";
import type { H2Stream } from "../../h2/h2-stream.ts";
import { READ_TIMEOUT_MS } from "../limits.ts";
import type { RpcHouse } from "../rpc-house.ts";
import { createCreateChatMethod } from "./create-chat.ts";
import { createEmbedMethod } from "./embed.ts";
import { GrpcExchange, type HotMethod } from "./grpc-exchange.ts";
import { createStreamChatMethod } from "./stream-chat.ts";

/**
 * The fast door: gRPC in its binary form for the methods that carry nearly all load, framed by hand
 * on the streams of Weir's own HTTP/2. It behaves as the connect door does for the same methods,
 * which is its reference: both pass the same suite.
 */
export interface HotDoor {
  /**
   * The method that this door serves at a path, for this content type; undefined when another door
   * must.
   */
  find(path: string | undefined, contentType: string | undefined): HotMethod | undefined;
  accept(method: HotMethod, stream: H2Stream, headers: IncomingHttpHeaders): void;
}

export function createHotDoor(house: RpcHouse): HotDoor {
  const methods = new Map<string, HotMethod>([
    ["/weir.v1.ChatService/CreateChat", createCreateChatMethod(house)],
    ["/weir.v1.ChatService/StreamChat", createStreamChatMethod(house)],
    ["/weir.v1.EmbedService/Embed", createEmbedMethod(house)],
  ]);
  const readers = new ReaderWatch(house);
  const door = { house, readers };
  return {
    find: (path, contentType) => {
      if (path === undefined || !isBinaryGrpc(contentType)) return undefined;
      return methods.get(path);
    },
    accept: (method, stream, headers) => {
      new GrpcExchange(door, method, stream, headers).open();
      readers.start();
    },
  };
}

function isBinaryGrpc(contentType: string | undefined): boolean {
  return (
    contentType === "application/grpc" ||
    contentType === "application/grpc+proto" ||
    (contentType !== undefined && BINARY_GRPC.test(contentType))
  );
}

const BINARY_GRPC = /^application\/grpc(\+proto)?(;.*)?$/i;

/**
 * Gives up on requests whose body does not end. One sweep for all: a timer for each request would
 * cost more than the requests of this door are worth.
 */
class ReaderWatch {
  readonly #house: RpcHouse;
  /** Bounded by the streams that the port lets in. */
  readonly #reading = new Roster<GrpcExchange>();
  #sweep: Timer | undefined;

  constructor(house: RpcHouse) {
    this.#house = house;
  }

  add(exchange: GrpcExchange): Place<GrpcExchange> {
    return this.#reading.add(exchange);
  }

  leave(place: Place<GrpcExchange>): void {
    this.#reading.leave(place);
  }

  start(): void {
    if (this.#sweep !== undefined || this.#reading.size === 0) return;
    this.#sweep = this.#house.clock.every(READ_TIMEOUT_MS / 4, () => this.#look());
  }

  #look(): void {
    const oldestMs = this.#house.clock.now() - READ_TIMEOUT_MS;
    for (const exchange of this.#reading) {
      if (exchange.call.startedMs <= oldestMs) exchange.giveUpReading();
    }
    if (this.#reading.size > 0) return;
    this.#sweep?.cancel();
    this.#sweep = undefined;
  }
}
