/** A place for one request at a time: an HTTP/1.1 connection, or one stream of an HTTP/2 connection. */
export interface LoadSlot {
  /** Since when the request under way counts, in milliseconds: when it was due. Written by the load. */
  sinceMs: number;
  /** Whether content of the request under way has come. Written by the slot. */
  shown: boolean;
  /** Sends the request. */
  send(): void;
}

/** What the slots tell the load. */
export interface LoadEvents {
  /** A slot can take its first request. */
  opened(slot: LoadSlot): void;
  /** The first content of an answer has come. */
  content(slot: LoadSlot): void;
  /** Events of content were found; told only when they are looked for. */
  marks(count: number): void;
  /** The answer is complete, or its request has failed for a reason. */
  done(slot: LoadSlot, fault: string | undefined): void;
}

/** What slots must know. */
export interface SlotOptions {
  readonly port: number;
  readonly request: Buffer;
  readonly bodyBytesMin: number;
  readonly marks: boolean;
  readonly events: LoadEvents;
}

/** How often a mark stands in `bytes`. */
export function countMarks(bytes: Buffer, mark: Buffer): number {
  let count = 0;
  for (let at = bytes.indexOf(mark); at >= 0; at = bytes.indexOf(mark, at + 1)) count++;
  return count;
}
