import { readdir } from "node:fs/promises";
import { join } from "node:path";
import type { LeftEpoch } from "../mesh/quota.ts";
import { isSameBoot } from "./boot-id.ts";
import type { Disk } from "./disk.ts";
import { decodeWatermarks, type WatermarkFrames } from "./watermark-frame.ts";

/** Where to look for what earlier epochs left. */
export interface LeftPlace {
  readonly directory: string;
  readonly disk: Disk;
  /** As readBootId() names this run of the machine. */
  readonly bootId: string;
  /** The proxy whose directory it is; undefined for the one that looks. */
  readonly proxyId?: string | undefined;
}

/** What earlier epochs left, by epoch, and the files that it is in. */
export interface LeftFiles {
  readonly left: readonly LeftEpoch[];
  readonly files: readonly LeftFile[];
}

export interface LeftFile {
  readonly path: string;
  readonly epoch: number;
  readonly proxyId: string | undefined;
}

/** Reads what epochs that ended without a farewell left. Rejects when the directory cannot be. */
export async function readLeft(place: LeftPlace): Promise<LeftFiles> {
  const { disk, bootId, proxyId } = place;
  const found = await listFiles(place);
  const byEpoch = new Map<number, FoundFile[]>();
  for (const file of found) {
    byEpoch.set(file.epoch, [...(byEpoch.get(file.epoch) ?? []), file]);
  }
  const whose = proxyId === undefined ? {} : { proxyId };
  const left: LeftEpoch[] = [];
  for (const [epoch, files] of [...byEpoch].sort(([a], [b]) => a - b)) {
    const newest = await readNewest(disk, files);
    const marks = [...(newest.marks?.values() ?? [])];
    const trusted = newest.sound && isSameBoot(newest.head?.boot ?? "", bootId);
    left.push({ ...whose, epoch, trusted, marks });
  }
  return { left, files: found };
}

/** The name of a file of an epoch; each that replaces one has a higher generation. */
export function nameMarkFile(epoch: number, generation: number): string {
  return `quota-${epoch}-${generation}.marks`;
}

interface FoundFile extends LeftFile {
  readonly generation: number;
}

const NAME = /^quota-(\d+)-(\d+)\.marks$/;

async function listFiles({ directory, proxyId }: LeftPlace): Promise<FoundFile[]> {
  return (await readdir(directory)).flatMap((name) => {
    const [, epoch, generation] = NAME.exec(name) ?? [];
    if (epoch === undefined || generation === undefined) return [];
    const path = join(directory, name);
    return [{ path, epoch: Number(epoch), generation: Number(generation), proxyId }];
  });
}

/** The newest file that was begun to its end: no mark went into an earlier one after that. */
async function readNewest(disk: Disk, files: readonly FoundFile[]): Promise<WatermarkFrames> {
  let damaged: WatermarkFrames | undefined;
  for (const { path } of [...files].sort((a, b) => b.generation - a.generation)) {
    const frames = decodeWatermarks(await readWhole(disk, path));
    if (frames.head !== undefined && frames.marks !== undefined) return frames;
    if (!frames.sound) damaged ??= frames;
  }
  // Not even begun: nothing was admitted by it.
  return damaged ?? { head: undefined, marks: undefined, sound: true };
}

async function readWhole(disk: Disk, path: string): Promise<Buffer> {
  const parts: Buffer[] = [];
  for (let at = 0; ; ) {
    const part = await disk.read(path, at, READ_BYTES);
    if (part.length === 0) return Buffer.concat(parts);
    parts.push(Buffer.from(part));
    at += part.length;
  }
}

const READ_BYTES = 1024 * 1024;
