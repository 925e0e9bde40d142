import type { Clock } from "../mesh/clock.ts";
import type { EncodedBatch } from "../mesh/encoded-batch.ts";
import type { Store } from "../store/store.ts";
import type { Broadcast } from "./broadcast.ts";

/** Takes the batches of all proxies in. */
export interface RecordIntake {
  /** Resolves once the batch is durable; rejects with StoreError when it could not be kept. */
  append(batch: EncodedBatch): Promise<void>;
  /** Waits no longer for more: what has come is written at once. */
  close(): void;
}

export interface RecordIntakeOptions {
  readonly store: Pick<Store, "appendBatches">;
  readonly clock: Clock;
  /** Told of what is durable. */
  readonly broadcast: Pick<Broadcast, "heard" | "publish">;
}

/**
 * Writes what comes at once when the last write is a while ago; under load, what has come
 * meanwhile, together. A transaction costs the store the same for ten records as for a hundred, and
 * each page that it touches is written once.
 */
export function createRecordIntake(options: RecordIntakeOptions): RecordIntake {
  const intake = new Intake(options);
  return { append: (batch) => intake.append(batch), close: () => intake.close() };
}

/** A write begins no sooner than this after the one before, unless so much waits. */
const GATHER_MS = 100;
const GATHER_BYTES = 256 * 1024;
/** Most bytes in one transaction, or a batch: other writes to the store wait for its end. */
const TOGETHER_BYTES = 512 * 1024;

interface Waiting {
  readonly batch: EncodedBatch;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

class Intake {
  readonly #options: RecordIntakeOptions;
  /** Callers bound it: a proxy that has too much on its way is read no further. */
  readonly #waiting: Waiting[] = [];
  #waitingBytes = 0;
  #writing = false;
  #begunMs = Number.NEGATIVE_INFINITY;
  #wake: (() => void) | undefined;
  #closed = false;

  constructor(options: RecordIntakeOptions) {
    this.#options = options;
  }

  append(batch: EncodedBatch): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ batch, resolve, reject });
      this.#waitingBytes += batch.bytes.length;
      if (this.#waitingBytes >= GATHER_BYTES) this.#wake?.();
      if (!this.#writing) void this.#write();
    });
  }

  close(): void {
    this.#closed = true;
    this.#wake?.();
  }

  async #write(): Promise<void> {
    this.#writing = true;
    while (this.#waiting.length > 0) {
      await this.#gather();
      this.#begunMs = this.#options.clock.now();
      const together = this.#take();
      if (!(await this.#append(together))) {
        // One that cannot be kept shall not keep the others out.
        for (const each of together) await this.#appendAlone(each);
      }
    }
    this.#writing = false;
  }

  async #gather(): Promise<void> {
    const { clock } = this.#options;
    const leftMs = this.#begunMs + GATHER_MS - clock.now();
    if (leftMs <= 0 || this.#closed || this.#waitingBytes >= GATHER_BYTES) return;
    await new Promise<void>((resolve) => {
      const timer = clock.after(leftMs, resolve);
      this.#wake = () => {
        timer.cancel();
        resolve();
      };
    });
    this.#wake = undefined;
  }

  #take(): readonly Waiting[] {
    let count = 0;
    let bytes = 0;
    for (const { batch } of this.#waiting) {
      bytes += batch.bytes.length;
      if (count > 0 && bytes > TOGETHER_BYTES) break;
      count += 1;
    }
    const together = this.#waiting.splice(0, count);
    for (const { batch } of together) this.#waitingBytes -= batch.bytes.length;
    return together;
  }

  /** False when each must be tried alone. */
  async #append(together: readonly Waiting[]): Promise<boolean> {
    const { store } = this.#options;
    if (together.length === 1) return false;
    try {
      await store.appendBatches(together.map(({ batch }) => batch.bytes));
    } catch {
      return false;
    }
    for (const each of together) this.#appended(each);
    return true;
  }

  async #appendAlone(waiting: Waiting): Promise<void> {
    try {
      await this.#options.store.appendBatches([waiting.batch.bytes]);
    } catch (error) {
      waiting.reject(error);
      return;
    }
    this.#appended(waiting);
  }

  #appended({ batch, resolve }: Waiting): void {
    resolve();
    const { broadcast } = this.#options;
    if (!broadcast.heard) return;
    try {
      broadcast.publish(batch.decode());
    } catch {
      // It is kept all the same, and whoever asks the store for it is told that it is malformed.
    }
  }
}
