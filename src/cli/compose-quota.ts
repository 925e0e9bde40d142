import { readBootId } from "../link/boot-id.ts";
import { createSystemDisk } from "../link/disk.ts";
import type { Journal } from "../link/journal.ts";
import { openWatermarks } from "../link/watermark-file.ts";
import type { Clock } from "../mesh/clock.ts";
import { createQuota, type QuotaRoomProxy } from "../quota/quota.ts";
import type { Log } from "../telemetry/log.ts";

/** What a proxy's quota stands on. */
export interface QuotaGround {
  readonly dataDir: string;
  readonly journal: Journal;
  readonly clock: Clock;
  readonly log: Log;
}

/** A quota room with its watermarks on the disk. */
export interface OpenQuota {
  readonly room: QuotaRoomProxy;
  /** Gives everything back, while the link still stands. */
  close(): Promise<void>;
}

/** Reads what earlier starts left to be confessed, and opens the room. */
export async function openQuota({ dataDir, journal, clock, log }: QuotaGround): Promise<OpenQuota> {
  const watermarks = await openWatermarks({
    directory: dataDir,
    disk: createSystemDisk(),
    epoch: journal.epoch,
    bootId: readBootId(clock),
    log,
  });
  const room = createQuota({ clock, watermarks, journalFault: () => journal.fault(), log });
  return {
    room,
    close: async () => {
      await room.close();
      await watermarks.close();
    },
  };
}
