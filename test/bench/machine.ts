import { readFileSync } from "node:fs";

/** The kernel counts CPU time in ticks of this many microseconds. */
const TICK_US = 10_000;

/** CPU time that a process has used so far, all its threads, ended ones too, in microseconds; 0 when it is gone. */
export function readCpuUs(pid: number): number {
  const text = readText(`/proc/${pid}/stat`);
  // The command's name may hold spaces and brackets: the fields are counted from its end.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) * TICK_US;
}

/** CPU time that this machine has been busy so far, in microseconds. */
export function readBusyUs(): number {
  const [, user, nice, system, , , irq, softirq, steal] = (
    readText("/proc/stat").split("\n")[0] ?? ""
  )
    .split(/ +/)
    .map(Number);
  const ticks = [user, nice, system, irq, softirq, steal].reduce(
    (sum: number, each) => sum + (each ?? 0),
    0,
  );
  return ticks * TICK_US;
}

/** Resident bytes of a process; 0 when it is gone. */
export function readRssBytes(pid: number): number {
  const kilobytes = /VmRSS:\s+(\d+)/.exec(readText(`/proc/${pid}/status`))?.[1];
  return Number(kilobytes ?? 0) * 1024;
}

function readText(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return "";
  }
}
