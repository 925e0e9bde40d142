import { expect } from "vitest";
import type { ChatHandler } from "../../src/mesh/rooms.ts";
import { type Door, openDoor } from "./open-door.ts";
import { decision, KEY, outcome, textEvent } from "./pretend-house.ts";
import { block, type Fields, Flag, frame, get, headers, RawPeer, Type } from "./raw-http2.ts";

export const END = Flag.END_STREAM + Flag.END_HEADERS;

export const post = (...more: Fields): Fields => [
  [":method", "POST"],
  [":scheme", "http"],
  [":path", "/v1/chat/completions"],
  [":authority", "weir"],
  ["x-api-key", KEY],
  ...more,
];
export const question = { model: "sim/echo", messages: [{ role: "user", content: "Hello" }] };
export const body = Buffer.from(JSON.stringify(question));
export const streamed = Buffer.from(JSON.stringify({ ...question, stream: true }));

/** A door, and a connection that minds its own business on it. */
export async function openStreet(changes: Parameters<typeof openDoor>[0] = {}) {
  const door = await openDoor(changes);
  const bystander = RawPeer.greet(door);
  bystander.send(headers(1, get));
  expect(await bystander.status(1)).toBe("200");
  let stream = 1;
  const livesOn = async () => {
    stream += 2;
    bystander.send(headers(stream, get));
    expect(await bystander.status(stream)).toBe("200");
    expect(await statusOfStranger(door)).toBe("200");
  };
  return { door, livesOn };
}

export async function statusOfStranger(door: Door): Promise<unknown> {
  const stranger = RawPeer.greet(door);
  stranger.send(headers(1, get));
  return await stranger.status(1);
}

export function times(count: number, piece: (at: number) => Buffer): Buffer {
  return Buffer.concat(Array.from({ length: count }, (_, at) => piece(at)));
}

export function data(stream: number, payload: Uint8Array, flags = 0): Buffer {
  return frame(Type.DATA, flags, stream, payload);
}

export const empty = Buffer.alloc(0);
export const ping = frame(Type.PING, 0, 0, Buffer.alloc(8));
export const open = (stream: number) => headers(stream, post(), Flag.END_HEADERS);
export const large: Fields = [["x-large", "x".repeat(4000)]];
export const head = block(get);
/** A field of 4,000 octets put into the table, and then again and again the octet that names it. */
export const bomb = Buffer.concat([
  Buffer.of(0x40),
  block(large).subarray(1),
  Buffer.alloc(9_000, 0xbe),
]);

/** Never answers; gives up when its caller does. */
export const silent: ChatHandler = (call) =>
  new Promise((_resolve, reject) => call.cancellation.onCancel(reject));

/** Answers with ten megabytes, a piece at a time, as its caller lets it. */
export function createFlood(pieces: number[]): ChatHandler {
  const text = "x".repeat(64 * 1024);
  return async (_call, _ask, sink) => {
    const me = pieces.push(0) - 1;
    sink.start(decision);
    for (let sent = 0; sent < 160; sent += 1) {
      pieces[me] = sent + 1;
      const events = () => [textEvent(text)];
      if (!sink.chunk({ wire: undefined, content: true, answer: undefined, events })) {
        await sink.ready();
      }
    }
    return outcome;
  };
}

export function ask(attacker: RawPeer, stream: number): void {
  attacker.send(open(stream), data(stream, streamed, Flag.END_STREAM));
}
