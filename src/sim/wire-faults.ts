import type { ServerResponse } from "node:http";
import { isJsonObject, type JsonObject } from "../mesh/json.ts";

/** A body that no dialect can be read from. */
export const GARBAGE = "<html>\u0000 502 teapot {{{\n\n";

/** Closes the connection with a TCP reset, as a crashed or overloaded server does. */
export function resetConnection(response: ServerResponse): void {
  const { socket } = response;
  if (socket !== null && "resetAndDestroy" in socket) socket.resetAndDestroy();
  else response.destroy();
}

/**
 * Cuts text in pieces whose seams lie within characters, where there are characters of several
 * bytes, so that whoever decodes each read of its own sees broken ones.
 */
export function splitWithinCharacters(text: string): Buffer[] {
  const bytes = Buffer.from(text);
  const pieces: Buffer[] = [];
  let start = 0;
  for (let i = 1; i < bytes.length; i++) {
    if (((bytes[i] ?? 0) & 0xc0) !== 0x80) continue;
    pieces.push(bytes.subarray(start, i));
    start = i;
  }
  if (pieces.length === 0 && bytes.length > 1) {
    start = bytes.length >> 1;
    pieces.push(bytes.subarray(0, start));
  }
  pieces.push(bytes.subarray(start));
  return pieces;
}

/** SSE frames without the last one, which only says that the stream is over. */
export function dropLastFrame(frames: string): string {
  const end = frames.lastIndexOf("\n\n", frames.length - 3);
  return end < 0 ? "" : frames.slice(0, end + 2);
}

/**
 * SSE frames of an upstream that counts nothing: no usage in any, and none that carried only usage.
 */
export function dropUsage(frames: string): string {
  if (!frames.includes('"usage"')) return frames;
  return frames.split("\n\n").map(dropUsageOfFrame).join("");
}

/** A body of an upstream that counts nothing. */
export function withoutUsage(body: JsonObject): JsonObject {
  const { usage, ...rest } = body;
  return isJsonObject(rest.message) ? { ...rest, message: withoutUsage(rest.message) } : rest;
}

function dropUsageOfFrame(frame: string): string {
  if (frame === "") return "";
  const at = frame.indexOf("data: ");
  if (at < 0 || !frame.includes('"usage"')) return `${frame}\n\n`;
  const body: JsonObject = JSON.parse(frame.slice(at + 6));
  const onlyUsage = Array.isArray(body.choices) && body.choices.length === 0;
  return onlyUsage ? "" : `${frame.slice(0, at)}data: ${JSON.stringify(withoutUsage(body))}\n\n`;
}
