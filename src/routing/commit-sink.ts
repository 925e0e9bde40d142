import type { ChatChunk } from "../mesh/chunk.ts";
import type { ChatSink } from "../mesh/sink.ts";
import type { UpstreamSink } from "../mesh/upstream.ts";
import type { AttemptClocks } from "./attempt-clocks.ts";
import type { OutputGuard } from "./output-guard.ts";

/**
 * Chunks held back before the first content; an upstream that sends more than this without content
 * is told to wait.
 */
const HELD_MAX = 256;

/** Told once, before the first chunk goes out: it starts the caller's sink. */
export interface CommitListener {
  onCommit(): void;
  /** No more of the answer can be paid for: it must end with what has gone on. Told once. */
  onShort(): void;
}

/** What a sink of one attempt works with. */
export interface CommitSinkParts {
  readonly sink: ChatSink;
  readonly clocks: AttemptClocks;
  readonly listener: CommitListener;
  readonly guard: OutputGuard | undefined;
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
  readonly #guard: OutputGuard | undefined;
  /** A chunk that the ledger is being asked for, until it has answered. */
  #unpaid: ChatChunk | undefined;
  #paying: Promise<void> | undefined;
  #closed = false;

  /** Undefined as `guard` for an answer of which all is paid for, or nothing is limited. */
  constructor({ sink, clocks, listener, guard }: CommitSinkParts) {
    this.#sink = sink;
    this.#clocks = clocks;
    this.#listener = listener;
    this.#guard = guard;
  }

  get committed(): boolean {
    return this.#committed;
  }

  chunk(chunk: ChatChunk, last = false): boolean {
    if (this.#closed) return true;
    if (this.#guard !== undefined) {
      const covered = this.#guard.admit(chunk);
      if (covered !== true) return this.#fallShort(chunk, last, covered);
    }
    return this.#accept(chunk, last);
  }

  #accept(chunk: ChatChunk, last: boolean): boolean {
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
    while (this.#unpaid !== undefined) {
      await this.#paying;
      const chunk = this.#unpaid;
      this.#unpaid = undefined;
      if (this.#closed || chunk === undefined) return;
      this.chunk(chunk);
    }
    await this.#sink.ready();
    this.#clocks.resume();
  }

  /** The attempt is over: nothing goes on any more. */
  close(): void {
    this.#closed = true;
  }

  /** After the last chunk nobody asks whether the sink is ready: it cannot wait for the ledger. */
  #fallShort(chunk: ChatChunk, last: boolean, covered: false | Promise<void>): boolean {
    if (covered === false || last) {
      this.#closed = true;
      this.#listener.onShort();
      return true;
    }
    this.#unpaid = chunk;
    this.#paying = covered;
    this.#clocks.pause();
    return false;
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
