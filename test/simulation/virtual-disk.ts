import type { LeftEpoch, Watermark, Watermarks } from "../../src/mesh/quota.ts";

/**
 * The directory of one proxy: what is written into it survives a kill -9, and no more than a part
 * of it, not to be trusted, a crash of the machine.
 */
export class VirtualDisk {
  readonly #epochs = new Map<number, EpochFile>();
  #lastEpoch = 0;
  #lastReplied = 0;
  #bootId = 1;
  /** True while it takes nothing more. */
  full = false;

  /** A new start of the proxy. */
  begin(hooks: DiskHooks): { readonly epoch: number; readonly watermarks: Watermarks } {
    this.#lastEpoch += 1;
    const epoch = this.#lastEpoch;
    const left = this.#readLeft();
    const mine: EpochFile = { bootId: this.#bootId, marks: new Map() };
    if (!this.full) this.#epochs.set(epoch, mine);
    const watermarks: Watermarks = {
      left,
      previousEpoch: this.#lastReplied,
      raise: (marks) => {
        hooks.beforeWrite();
        if (this.full) throw new Error("ENOSPC: no space left on device, write");
        this.#epochs.set(epoch, mine);
        for (const mark of marks) mine.marks.set(`${mark.bucket}@${mark.windowStartMs}`, mark);
        hooks.afterWrite();
      },
      forget: (epochs) => {
        if (hooks.isDead()) return;
        for (const each of epochs) this.#epochs.delete(each);
      },
      noteReplied: () => {
        if (!this.full && !hooks.isDead()) this.#lastReplied = epoch;
      },
      done: () => {
        if (!hooks.isDead()) this.#epochs.delete(epoch);
      },
    };
    return { epoch, watermarks };
  }

  /** The machine went down: what had not reached the platter is gone. */
  crash(keeps: () => boolean): void {
    this.#bootId += 1;
    for (const file of this.#epochs.values()) {
      for (const key of [...file.marks.keys()]) {
        if (!keeps()) file.marks.delete(key);
      }
    }
  }

  #readLeft(): readonly LeftEpoch[] {
    return [...this.#epochs].map(([epoch, file]) => ({
      epoch,
      trusted: file.bootId === this.#bootId,
      marks: [...file.marks.values()],
    }));
  }
}

/** Where a process may be killed in the middle of a write. */
export interface DiskHooks {
  beforeWrite(): void;
  afterWrite(): void;
  isDead(): boolean;
}

interface EpochFile {
  readonly bootId: number;
  readonly marks: Map<string, Watermark>;
}
