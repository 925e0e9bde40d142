import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { type Clock, pause } from "../mesh/clock.ts";
import type { Journal } from "./journal.ts";
import type { LinkChannel } from "./link-channel.ts";
import type { JournalPosition } from "./segments.ts";
import { createWake } from "./wake.ts";

/** Sends the journal's records over one connection. */
export interface RecordSender {
  /** Batches up to this number are in the ledger. */
  committed(sequence: bigint): void;
  stop(): void;
}

/**
 * Begins where the ledger's last confirmation was, so that what was under way when a connection
 * broke is sent again. Few batches are under way at a time: what the ledger does not take stays on
 * the disk.
 */
export function startRecordSender(
  journal: Pick<Journal, "read" | "committed" | "committedUpTo" | "onAdded">,
  channel: LinkChannel,
  clock: Clock,
): RecordSender {
  const underWay: { readonly sequence: bigint; readonly next: JournalPosition }[] = [];
  const wake = createWake();
  const stopListening = journal.onAdded(wake.tell);
  let stopped = false;
  const run = async () => {
    let place = journal.committedUpTo;
    let sequence = 0n;
    while (!stopped) {
      if (underWay.length >= UNDER_WAY_MAX) {
        await wake.told();
        continue;
      }
      const batch = await journal.read(place, LIMITS);
      if (stopped) return;
      place = batch.next;
      if (batch.blocked) {
        await pause(clock, BLOCKED_MS);
        continue;
      }
      if (batch.records.length === 0) {
        await wake.told();
        if (!stopped) await pause(clock, GATHER_MS);
        continue;
      }
      sequence += 1n;
      underWay.push({ sequence, next: batch.next });
      if (!channel.send(encodeBatch(sequence, batch.records))) await channel.drained();
      // What is not there yet comes together later: each read is a round trip to a thread.
      if (batch.records.length < LIMITS.records) await pause(clock, GATHER_MS);
    }
  };
  void run();
  return {
    committed: (sequence) => {
      let last: JournalPosition | undefined;
      while (underWay[0] !== undefined && underWay[0].sequence <= sequence) {
        last = underWay.shift()?.next;
      }
      if (last !== undefined) journal.committed(last);
      wake.tell();
    },
    stop: () => {
      stopped = true;
      stopListening();
      wake.tell();
    },
  };
}

const UNDER_WAY_MAX = 4;
const LIMITS = { records: 500, bytes: 256 * 1024 };
/** How long the system may take to have again what it was short of. */
const BLOCKED_MS = 500;
/** Records of this long travel together when there are few. */
const GATHER_MS = 20;

/**
 * ConnectRequest.record_batch, made of records as they lie in the journal: they are not decoded on
 * their way.
 */
export function encodeBatch(sequence: bigint, records: readonly Uint8Array[]): Uint8Array {
  const writer = new BinaryWriter();
  writer.tag(4, WireType.LengthDelimited).fork();
  writer.tag(1, WireType.Varint).int64(sequence);
  for (const record of records) writer.tag(2, WireType.LengthDelimited).bytes(record);
  return writer.join().finish();
}
