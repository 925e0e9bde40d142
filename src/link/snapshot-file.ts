import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from "node:crypto";
import { type FileHandle, open, readFile, rename, rm } from "node:fs/promises";
import { setImmediate as nextTurn } from "node:timers/promises";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { SnapshotPartSchema } from "../../gen/weir/link/v1/link_service_pb.ts";
import type { Clock, Timer } from "../mesh/clock.ts";
import type { SnapshotChange } from "../mesh/snapshot.ts";
import type { SnapshotHolder } from "../mesh/snapshot-holder.ts";
import type { LinkLog } from "./log.ts";

/**
 * The last snapshot on disk, so that a proxy serves from its first moment on, with no control plane
 * in reach.
 */
export interface SnapshotFile {
  /** Ends with the last snapshot on disk. */
  close(): Promise<void>;
}

export interface SnapshotFileOptions {
  readonly path: string;
  /**
   * The link's token: a snapshot holds vendors' secrets and is encrypted with a key that is made of
   * it.
   */
  readonly token: string;
  readonly holder: SnapshotHolder;
  readonly clock: Clock;
  readonly log: LinkLog;
}

/**
 * Applies the snapshot of the file to the holder, and from then on writes each snapshot of the
 * holder into it, at most one a second. Never rejects: a file that is damaged, or of another token,
 * is ignored with a line in the log.
 */
export async function openSnapshotFile(options: SnapshotFileOptions): Promise<SnapshotFile> {
  const { holder, clock, log, path } = options;
  await load(options);
  let saved = describeRevision(holder);
  let timer: Timer | undefined;
  let writing: Promise<void> | undefined;
  const write = async () => {
    const revision = describeRevision(holder);
    try {
      await writeSnapshot(path, options.token, holder.export());
      saved = revision;
    } catch (error) {
      log.warn({ error, path }, "the snapshot cannot be written; it is tried again with the next");
    }
  };
  const begin = () => {
    timer = undefined;
    writing = write().then(() => {
      writing = undefined;
      if (describeRevision(holder) !== saved) schedule();
    });
  };
  const schedule = () => {
    if (timer === undefined && writing === undefined) timer = clock.after(PAUSE_MS, begin);
  };
  const stop = holder.onChange(() => {
    if (describeRevision(holder) !== saved) schedule();
  });
  return {
    close: async () => {
      stop();
      await writing;
      timer?.cancel();
      if (describeRevision(holder) !== saved) await write();
    },
  };
}

const PAUSE_MS = 1000;

function describeRevision(holder: SnapshotHolder): string {
  return `${holder.current.installationId}/${holder.current.revision}`;
}

/**
 * `MAGIC salt nonce ciphertext tag`; the ciphertext is that of a SnapshotPart. A salt each time
 * makes each key new.
 */
const MAGIC = Buffer.from("weir snapshot 1\n");
const SALT_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const HEAD_BYTES = MAGIC.length + SALT_BYTES + NONCE_BYTES;

async function load({ path, token, holder, log }: SnapshotFileOptions): Promise<void> {
  let bytes: Buffer;
  try {
    bytes = await readFile(path);
  } catch {
    return;
  }
  try {
    holder.apply(decodeSnapshot(bytes, token));
    log.info({ path, revision: holder.current.revision }, "the last snapshot is served");
  } catch (thrown) {
    const reason = thrown instanceof Error ? thrown.message : String(thrown);
    log.warn(
      { path, reason },
      "the snapshot on disk is ignored: it is damaged or of another token",
    );
  }
}

function decodeSnapshot(bytes: Buffer, token: string): SnapshotChange {
  if (!bytes.subarray(0, MAGIC.length).equals(MAGIC) || bytes.length < HEAD_BYTES + TAG_BYTES) {
    throw new Error("it is no snapshot");
  }
  const head = splitHead(bytes.subarray(0, HEAD_BYTES));
  const decipher = createDecipheriv("aes-256-gcm", deriveKey(token, head.salt), head.nonce);
  decipher.setAAD(MAGIC);
  decipher.setAuthTag(bytes.subarray(-TAG_BYTES));
  const plain = Buffer.concat([
    decipher.update(bytes.subarray(HEAD_BYTES, -TAG_BYTES)),
    decipher.final(),
  ]);
  const part = fromBinary(SnapshotPartSchema, plain);
  return {
    revision: Number(part.revision),
    baseRevision: 0,
    installationId: part.installationId,
    upserts: part.upserts,
    deletions: [],
  };
}

/** Written beside the old one and renamed, so that a crash leaves the one or the other. */
async function writeSnapshot(path: string, token: string, change: SnapshotChange): Promise<void> {
  const temporary = `${path}.new`;
  await rm(temporary, { force: true });
  const file = await open(temporary, "wx", 0o600);
  try {
    await writeEncrypted(file, token, change);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
}

/**
 * Slice by slice, with a turn of the event loop between: a large installation takes a while, and
 * requests pass meanwhile. Encoded messages that follow each other are one message to protobuf, so
 * the slices need no frame.
 */
async function writeEncrypted(
  file: FileHandle,
  token: string,
  change: SnapshotChange,
): Promise<void> {
  const head = Buffer.concat([MAGIC, randomBytes(SALT_BYTES + NONCE_BYTES)]);
  const { salt, nonce } = splitHead(head);
  const cipher = createCipheriv("aes-256-gcm", deriveKey(token, salt), nonce);
  cipher.setAAD(MAGIC);
  await file.write(head);
  const begin = create(SnapshotPartSchema, {
    revision: BigInt(change.revision),
    installationId: change.installationId,
    last: true,
  });
  await writeAll(file, cipher.update(toBinary(SnapshotPartSchema, begin)));
  for (let from = 0; from < change.upserts.length; from += SLICE) {
    const slice = create(SnapshotPartSchema);
    slice.upserts = change.upserts.slice(from, from + SLICE);
    await writeAll(file, cipher.update(toBinary(SnapshotPartSchema, slice)));
    await nextTurn();
  }
  await writeAll(file, Buffer.concat([cipher.final(), cipher.getAuthTag()]));
}

const SLICE = 100;

async function writeAll(file: FileHandle, bytes: Buffer): Promise<void> {
  for (let offset = 0; offset < bytes.length; ) {
    offset += (await file.write(bytes, offset)).bytesWritten;
  }
}

function splitHead(head: Buffer): { readonly salt: Buffer; readonly nonce: Buffer } {
  const rest = head.subarray(MAGIC.length);
  return { salt: rest.subarray(0, SALT_BYTES), nonce: rest.subarray(SALT_BYTES) };
}

function deriveKey(token: string, salt: Buffer): Buffer {
  return Buffer.from(hkdfSync("sha256", token, salt, "weir snapshot file", 32));
}
