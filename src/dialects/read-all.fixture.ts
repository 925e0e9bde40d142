import type { ChatEvent } from "../mesh/chunk.ts";
import { MeshError } from "../mesh/errors.ts";
import type { StreamReader } from "./dialect.ts";

/** All that a reader makes of frames, `run` of them in each read. */
export function readAll(reader: StreamReader, frames: readonly string[], run: number): unknown {
  const events: ChatEvent[] = [];
  const content: boolean[] = [];
  const told = (): unknown => ({ ended: reader.ended, partial: reader.partialUsage() });
  try {
    for (let at = 0; at < frames.length; at += run) {
      const chunk = reader.read(Buffer.from(frames.slice(at, at + run).join("")));
      content.push(chunk?.content ?? false);
      events.push(...(chunk?.events() ?? []));
    }
    return { events, content, end: reader.end(), told: told() };
  } catch (thrown) {
    if (!(thrown instanceof MeshError)) throw thrown;
    return { events, content, reason: thrown.reason, told: told() };
  }
}
