import { isJsonObject } from "../../mesh/json.ts";
import type { FrameMeter } from "../passed-chunk.ts";
import { ProducedMeter } from "../produced-meter.ts";
import { DeltaTemplate } from "./delta-template.ts";

/** Measures what a stream of events says: blocks as they begin, and their pieces. */
export function createProducedMeter(): FrameMeter {
  const template = new DeltaTemplate();
  return new ProducedMeter({
    template,
    read: (frame, event) => {
      if (!isJsonObject(event)) return event;
      template.learnEvent(frame, event);
      return [event.content_block ?? null, event.delta ?? null];
    },
  });
}
