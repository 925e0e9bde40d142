import type { ChatChunk, ChatEvent, WireForm } from "../mesh/chunk.ts";

/** Measures the frames of one stream. Stateful: it is given the stream's frames in order. */
export interface FrameMeter {
  /** A bound of the bytes that the model has produced in them. */
  measureFrames(frames: Buffer): number;
}

/** Decodes the frames of one stream. Stateful: it is given the stream's frames in order. */
export interface FrameDecoder extends FrameMeter {
  decodeFrames(frames: Buffer): readonly ChatEvent[];
}

/**
 * Frames that go on as they came; decoded in order when somebody wants the events. A class and not
 * a literal, since its methods are shared and a literal's closures are not.
 */
export class PassedChunk implements ChatChunk {
  readonly wire: WireForm;
  readonly content: boolean;
  readonly answer = undefined;
  readonly #decoder: FrameDecoder;
  #events: readonly ChatEvent[] | undefined;

  constructor(wire: WireForm, content: boolean, decoder: FrameDecoder) {
    this.wire = wire;
    this.content = content;
    this.#decoder = decoder;
  }

  producedMost(): number {
    return this.#decoder.measureFrames(this.wire.bytes);
  }

  events(): readonly ChatEvent[] {
    this.#events ??= this.#decoder.decodeFrames(this.wire.bytes);
    return this.#events;
  }
}
