import type { ChatChunk } from "../mesh/chunk.ts";
import type { ChatSink } from "../mesh/sink.ts";
import type { UpstreamSink } from "../mesh/upstream.ts";
import type { AttemptClocks } from "./attempt-clocks.ts";

/**
 * Chunks held back before the first content; an upstream that sends more than this without content
 * is told to wait.
 */
const HELD_MAX = 256;

/** Told once, before the first chunk goes out: it starts the caller's sink. */
export interface CommitListener {
  onCommit(): void;
}

/**
 * Holds an attempt's chunks back until the first content comes: until then switching to another
 * target is invisible. Content commits: what was held goes out, and everything after it flows
 * straight through.
 */
export class CommitSink implements UpstreamSink {
  readonly #sink: ChatSink;
  readonly #clocks: AttemptClocks;
  readonly #listener: CommitListener;
  #held: ChatChunk[] | undefined;
  #committed = false;

  constructor(sink: ChatSink, clocks: AttemptClocks, listener: CommitListener) {
    this.#sink = sink;
    this.#clocks = clocks;
    this.#listener = listener;
  }

  get committed(): boolean {
    return this.#committed;
  }

  chunk(chunk: ChatChunk, last = false): boolean {
    if (this.#committed) {
      this.#clocks.progress();
      return this.#pass(chunk, last);
    }
    if (chunk.content && this.#held === undefined) {
      this.#begin();
      return this.#pass(chunk, last);
    }
    this.#held ??= [];
    this.#held.push(chunk);
    if (!chunk.content && this.#held.length < HELD_MAX) return true;
    return this.commit(last);
  }

  /**
   * Commits, with or without content: a complete answer may be empty. Returns whether the caller's
   * sink keeps up.
   */
  commit(last = false): boolean {
    if (this.#committed) return true;
    const held = this.#held;
    this.#held = undefined;
    this.#begin();
    let ready = true;
    if (held === undefined) return ready;
    const final = held.pop();
    for (const chunk of held) ready = this.#pass(chunk, false);
    if (final !== undefined) ready = this.#pass(final, last);
    return ready;
  }

  /**
   * While the caller is behind, a silent upstream is the caller's doing: the idle clock stands
   * still.
   */
  async ready(): Promise<void> {
    await this.#sink.ready();
    this.#clocks.resume();
  }

  #begin(): void {
    this.#committed = true;
    this.#listener.onCommit();
  }

  #pass(chunk: ChatChunk, last: boolean): boolean {
    const ready = this.#sink.chunk(chunk, last);
    if (!ready) this.#clocks.pause();
    return ready;
  }
}
