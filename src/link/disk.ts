import fs from "node:fs";
import { rename, rm } from "node:fs/promises";
import { FileReader } from "./file-reader.ts";

/**
 * The few calls that the journal makes of the file system, so that tests can make them fail. All
 * reject or call back with an error.
 */
export interface Disk {
  /** Opens a new file for writing; fails when it exists. */
  create(path: string): Promise<number>;
  write(file: number, bytes: Buffer, at: number, done: WriteDone): void;
  /**
   * The same within this turn: returns how much was taken, or throws. A tenth of the cost, and
   * nobody waits, as long as the disk only takes the bytes into the system's memory; undefined
   * where that cannot be had.
   */
  writeNow?(file: number, bytes: Buffer, at: number): number;
  sync(file: number): Promise<void>;
  close(file: number): Promise<void>;
  /** Up to `size` bytes from a place on; fewer only at the end of the file. */
  read(path: string, at: number, size: number): Promise<Buffer>;
  remove(path: string): Promise<void>;
  move(from: string, to: string): Promise<void>;
  /** Lets go of what is kept open for reading; undefined where nothing is. */
  release?(): Promise<void>;
}

export type WriteDone = (error: Error | null, written: number) => void;

/** The machine's own disk, for one journal. The file that was read last stays open. */
export function createSystemDisk(): Disk {
  const reader = new FileReader();
  return {
    ...writing,
    read: (path, at, size) => reader.read(path, at, size),
    remove: async (path) => {
      await reader.forget(path);
      await rm(path, { force: true });
    },
    move: async (from, to) => {
      await reader.forget(from);
      await rename(from, to);
    },
    release: () => reader.close(),
  };
}

const writing: Pick<Disk, "create" | "write" | "writeNow" | "sync" | "close"> = {
  create: (path) =>
    new Promise((resolve, reject) => {
      fs.open(path, "wx", 0o600, (error, file) => (error ? reject(error) : resolve(file)));
    }),
  write: (file, bytes, at, done) => fs.write(file, bytes, 0, bytes.length, at, done),
  writeNow: (file, bytes, at) => fs.writeSync(file, bytes, 0, bytes.length, at),
  sync: (file) =>
    new Promise((resolve, reject) => {
      fs.fdatasync(file, (error) => (error ? reject(error) : resolve()));
    }),
  close: (file) =>
    new Promise((resolve, reject) => {
      fs.close(file, (error) => (error ? reject(error) : resolve()));
    }),
};
