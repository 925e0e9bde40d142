import { isJsonObject } from "../../mesh/json.ts";
import type { FrameMeter } from "../passed-chunk.ts";
import { ProducedMeter } from "../produced-meter.ts";
import { DeltaTemplate } from "./delta-template.ts";

/** Measures what a stream of chunks says: all that was produced stands in its choices. */
export function createProducedMeter(): FrameMeter {
  const template = new DeltaTemplate();
  return new ProducedMeter({
    template,
    read: (frame, chunk) => {
      if (!isJsonObject(chunk)) return chunk;
      template.learnChunk(frame, chunk);
      return chunk.choices;
    },
  });
}
