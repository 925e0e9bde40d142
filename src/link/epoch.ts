import { open, readFile, rename } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "../mesh/clock.ts";

/**
 * The number of this start, higher than that of every start before. It follows the clock, so that
 * it rises even when the directory was lost, and it counts on when the clock was set back. Rejects
 * when the directory cannot be written.
 */
export async function raiseEpoch(directory: string, clock: Clock): Promise<number> {
  const path = join(directory, "epoch");
  const before = await readNumber(path);
  const epoch = Math.max(before + 1, Math.floor(clock.wallMs() / 1000));
  const file = await open(`${path}.new`, "w", 0o600);
  try {
    await file.writeFile(`${epoch}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(`${path}.new`, path);
  return epoch;
}

async function readNumber(path: string): Promise<number> {
  try {
    const value = Number.parseInt(await readFile(path, "utf8"), 10);
    return Number.isSafeInteger(value) && value > 0 ? value : 0;
  } catch {
    return 0;
  }
}
