import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

/**
 * Outlives a test for a moment: once its standard input ends, because the test is done or has
 * crashed, it ends the server of a directory and removes the directory:
 * `node postgres-keeper.ts DIRECTORY`.
 */
const [, , directory = ""] = process.argv;
const pidFile = join(directory, "data", "postmaster.pid");

process.on("SIGINT", ignore);
process.on("SIGTERM", ignore);
process.on("SIGHUP", ignore);
for await (const _ of process.stdin);
for (let tries = 0; tries < 200 && endServer(); tries += 1) await delay(25);
rmSync(directory, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });

/** True while it still runs. */
function endServer(): boolean {
  if (!existsSync(pidFile)) return false;
  const [pid = "", owned = ""] = readFileSync(pidFile, "utf8").split("\n");
  if (!owned.startsWith(directory)) return false;
  try {
    // Immediately: what it holds is thrown away.
    process.kill(Number(pid), process.platform === "win32" ? "SIGKILL" : "SIGQUIT");
    // One that was frozen hears nothing else.
    if (process.platform !== "win32") process.kill(Number(pid), "SIGCONT");
    return true;
  } catch {
    return false;
  }
}

function ignore(): void {}
