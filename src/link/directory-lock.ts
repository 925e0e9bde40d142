import { readFileSync } from "node:fs";
import { open, readFile, rm } from "node:fs/promises";
import { join } from "node:path";

/** Says that a directory is used by this process. */
export interface DirectoryLock {
  release(): Promise<void>;
}

/**
 * Locks a directory for this process. The lock of a process that is gone is taken over. Rejects,
 * naming the process, when the directory is in use. It does not see processes of other machines or
 * containers.
 */
export async function lockDirectory(directory: string): Promise<DirectoryLock> {
  const path = join(directory, LOCK_FILE);
  if (held.has(path)) throw new Error(`${directory} is in use by this process already.`);
  held.add(path);
  try {
    await writeLock(directory, path);
  } catch (thrown) {
    held.delete(path);
    throw thrown;
  }
  return {
    release: async () => {
      await rm(path, { force: true });
      held.delete(path);
    },
  };
}

const LOCK_FILE = "lock";

/**
 * The locks of this process: after a restart in a container its number is often the same as before.
 */
const held = new Set<string>();

async function writeLock(directory: string, path: string): Promise<void> {
  const own = `${process.pid} ${birthOf(process.pid)}\n`;
  for (let attempt = 0; attempt < 3; attempt++) {
    try {
      const file = await open(path, "wx", 0o600);
      await file.writeFile(own);
      await file.close();
      return;
    } catch (thrown) {
      if (!isTaken(thrown)) throw thrown;
    }
    const owner = await readOwner(path);
    if (owner !== undefined && lives(owner)) {
      throw new Error(`${directory} is in use by process ${owner.pid}: stop it, or use another.`);
    }
    await rm(path, { force: true });
  }
  throw new Error(`${directory} cannot be locked: another process starts in it.`);
}

interface Owner {
  readonly pid: number;
  readonly birth: string;
}

async function readOwner(path: string): Promise<Owner | undefined> {
  try {
    const [pid = "", birth = ""] = (await readFile(path, "utf8")).trim().split(" ");
    return { pid: Number.parseInt(pid, 10), birth };
  } catch {
    return undefined;
  }
}

/** A number is given to another process sooner or later; the time of birth tells the two apart. */
function lives(owner: Owner): boolean {
  if (!(owner.pid > 0) || owner.pid === process.pid) return false;
  try {
    process.kill(owner.pid, 0);
  } catch (thrown) {
    // EPERM: it lives and belongs to somebody else.
    if (!(thrown instanceof Error && "code" in thrown && thrown.code === "EPERM")) return false;
  }
  return owner.birth === birthOf(owner.pid);
}

/** Boot and start time of a process where the system tells them; else a constant. */
function birthOf(pid: number): string {
  try {
    const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The second field is the program's name in brackets, which may hold blanks; the start time is
    // the 22nd.
    const start = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
    return `${boot}/${start}`;
  } catch {
    return "unknown";
  }
}

function isTaken(thrown: unknown): boolean {
  return thrown instanceof Error && "code" in thrown && thrown.code === "EEXIST";
}
