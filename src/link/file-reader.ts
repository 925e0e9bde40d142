import fs from "node:fs";

/**
 * Reads parts of files, one after the other. The last file stays open, since who follows a journal
 * reads the same one dozens of times a second: opening and closing it each time would be two of
 * three round trips to a thread.
 */
export class FileReader {
  #file: { readonly path: string; readonly handle: number } | undefined;
  #last: Promise<unknown> = Promise.resolve();

  /**
   * Up to `size` bytes from a place on; fewer only at the end of the file. Rejects on any fault.
   */
  read(path: string, at: number, size: number): Promise<Buffer> {
    return this.#inTurn(async () => {
      const handle = await this.#open(path);
      try {
        return await readPart(handle, at, size);
      } catch (error) {
        await this.#close();
        throw error;
      }
    });
  }

  /** Lets go of a file that is to be removed or moved, so that its space is free then. */
  async forget(path: string): Promise<void> {
    await this.#inTurn(async () => {
      if (this.#file?.path === path) await this.#close();
    });
  }

  /** Lets go of whatever is open; a later read opens it again. */
  async close(): Promise<void> {
    await this.#inTurn(() => this.#close());
  }

  /** A handle must not be closed, and its number given to another file, while it is read from. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(work);
    this.#last = done.catch(() => undefined);
    return done;
  }

  async #open(path: string): Promise<number> {
    if (this.#file?.path === path) return this.#file.handle;
    await this.#close();
    const handle = await openFile(path);
    this.#file = { path, handle };
    return handle;
  }

  #close(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    if (file === undefined) return Promise.resolve();
    // What was only read has nothing to lose by a close that fails.
    return new Promise((resolve) => fs.close(file.handle, () => resolve()));
  }
}

async function readPart(handle: number, at: number, size: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(size);
  let length = 0;
  while (length < size) {
    const taken = await readOnce(handle, bytes.subarray(length), at + length);
    if (taken === 0) break;
    length += taken;
  }
  return bytes.subarray(0, length);
}

function openFile(path: string): Promise<number> {
  return new Promise((resolve, reject) => {
    fs.open(path, "r", (error, handle) => (error ? reject(error) : resolve(handle)));
  });
}

function readOnce(handle: number, bytes: Buffer, at: number): Promise<number> {
  return new Promise((resolve, reject) => {
    fs.read(handle, bytes, 0, bytes.length, at, (error, taken) =>
      error ? reject(error) : resolve(taken),
    );
  });
}
