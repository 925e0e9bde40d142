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
  /** Proxies of this machine that will not come back, and whose journals are taken over. */
  readonly siblings: readonly Sibling[];
  readonly clock: Clock;
  readonly log: Log;
}

/** A proxy of this machine that will not come back. */
export interface Sibling {
  readonly dataDir: string;
  readonly proxyId: string;
}

/** A quota room with its watermarks on the disk. */
export interface OpenQuota {
  readonly room: QuotaRoomProxy;
  /** Gives everything back, while the link still stands. */
  close(): Promise<void>;
}

/** Reads what earlier starts left to be confessed, and opens the room. */
export async function openQuota(ground: QuotaGround): Promise<OpenQuota> {
  const { dataDir, journal, siblings, clock, log } = ground;
  const watermarks = await openWatermarks({
    directory: dataDir,
    disk: createSystemDisk(),
    epoch: journal.epoch,
    bootId: readBootId(clock),
    log,
  });
  for (const { dataDir: directory, proxyId } of siblings) {
    try {
      const epochs = await watermarks.adopt(directory, proxyId);
      if (epochs > 0) log.info({ directory, proxyId, epochs }, "took over watermarks");
    } catch (error) {
      log.warn({ directory, error: String(error) }, "cannot take over watermarks");
    }
  }
  const room = createQuota({ clock, watermarks, journalFault: () => journal.fault(), log });
  return {
    room,
    close: async () => {
      await room.close();
      await watermarks.close();
    },
  };
}
