import { accessSync, constants, readdirSync, type Stats, statfsSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import type { Environment } from "../command.ts";
import { defaultMaxConnections } from "../max-connections.ts";
import { broken, doubtful, type Finding, good } from "./finding.ts";

const GIB = 1024 ** 3;
const FREE_BROKEN = 0.1 * GIB;
const FREE_DOUBTFUL = GIB;
const DESCRIPTORS_DOUBTFUL = 8_192;

/** What this process runs on. */
export function checkNode(version: string): Finding {
  if (isOlder(version, [26, 10, 0])) {
    return broken(
      `Node is ${version}; Weir needs 26.10 or newer`,
      "Run `npm ci`, which brings one along, and start Weir by `npm start` or `npx weir`.",
    );
  }
  if (isOlder(version, [26, 12, 1])) {
    return doubtful(
      `Node is ${version}, whose Brotli decoder is vulnerable`,
      "Weir asks for no Brotli and decodes none; use Node 26.12.1 or newer all the same.",
    );
  }
  return good(`Node is ${version}`);
}

/** How many connections a worker that this user starts can keep; nothing where nobody knows. */
export function checkDescriptors(limit: number | undefined): Finding[] {
  if (limit === undefined) return [];
  const what = `${limit} descriptors are enough for ${defaultMaxConnections(limit)} connections a worker`;
  if (limit >= DESCRIPTORS_DOUBTFUL) return [good(what)];
  return [doubtful(what, "Raise `ulimit -n`, or LimitNOFILE= in a unit of systemd.")];
}

/** The data directory and the secrets in it. `local` says that Weir should run on this machine. */
export function checkDataDirectory(path: string, env: Environment, local: boolean): Finding[] {
  const directory = resolve(path);
  const found = statOrUndefined(directory);
  if (found === undefined) {
    const above = statOrUndefined(dirname(directory));
    const what = `there is no data directory ${directory}`;
    if (!local) return [good(`${what}: Weir runs elsewhere`)];
    const mend = "Say where it is with --data-dir or WEIR_DATA_DIR; the first start makes it.";
    return [(above === undefined ? broken : doubtful)(what, mend)];
  }
  if (!found.isDirectory()) {
    return [broken(`${directory} is no directory`, "Move it away, or use another --data-dir.")];
  }
  return [checkWritable(directory), checkFreeSpace(directory), ...checkSecrets(directory, env)];
}

function checkWritable(directory: string): Finding {
  try {
    accessSync(directory, constants.R_OK | constants.W_OK | constants.X_OK);
    readdirSync(directory);
    return good(`the data directory ${directory} can be written`);
  } catch {
    const owner = `chown -R "$(id -un)" ${directory}`;
    return broken(
      `the data directory ${directory} cannot be written by this user`,
      `Run Weir as its owner, or: ${owner}`,
    );
  }
}

function checkFreeSpace(directory: string): Finding {
  const { bavail, bsize } = statfsSync(directory);
  const free = bavail * bsize;
  const what = `${(free / GIB).toFixed(1)} GiB are free for ${directory}`;
  const mend = "Free some: a full disk stops the ledger and the journals.";
  if (free < FREE_BROKEN) return broken(what, mend);
  return free < FREE_DOUBTFUL ? doubtful(what, mend) : good(what);
}

function checkSecrets(directory: string, env: Environment): Finding[] {
  const findings: Finding[] = [];
  for (const name of ["secret.key", "link.token", "weir.db"]) {
    const path = join(directory, name);
    const found = statOrUndefined(path);
    if (found !== undefined) findings.push(checkMode(path, found));
  }
  const database = statOrUndefined(join(directory, "weir.db"));
  const key = statOrUndefined(join(directory, "secret.key"));
  const given = env.WEIR_SECRET_KEY ?? "";
  if (database !== undefined && key === undefined && given === "") {
    findings.push(
      broken(
        `${join(directory, "secret.key")} is missing, and WEIR_SECRET_KEY is not set here`,
        "Put the key back from a backup: without it the providers' sealed secrets cannot be read.",
      ),
    );
  }
  return findings;
}

function checkMode(path: string, { mode }: Stats): Finding {
  // Windows has no such bits.
  if (process.platform === "win32" || (mode & 0o077) === 0) {
    return good(`only its owner can read ${path}`);
  }
  const bits = (mode & 0o777).toString(8);
  return broken(`others can read ${path} (mode ${bits})`, `Run: chmod 600 ${path}`);
}

function statOrUndefined(path: string): Stats | undefined {
  return statSync(path, { throwIfNoEntry: false });
}

function isOlder(version: string, least: readonly number[]): boolean {
  const parts = version.split(".").map((part) => Number.parseInt(part, 10));
  for (const [at, wanted] of least.entries()) {
    const part = parts[at] ?? 0;
    if (part !== wanted) return part < wanted;
  }
  return false;
}
