import { readdirSync, readFileSync } from "node:fs";

/** CPU time of a process's threads in microseconds since they began, by name; the kernel must be Linux. */
export function readThreadTimes(pid: number): ReadonlyMap<string, number> {
  const totals = new Map<string, number>();
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    try {
      const own = Number(thread) === pid ? "main" : "";
      const name = own || readFileSync(`/proc/${pid}/task/${thread}/comm`, "utf8").trim();
      const run = readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ")[0];
      totals.set(name, (totals.get(name) ?? 0) + Number(run) / 1000);
    } catch {
      // The thread has ended since.
    }
  }
  return totals;
}
