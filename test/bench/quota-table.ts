import type { QuotaAudit } from "../support/quota-audit.ts";
import type { Phase, Tally } from "../support/quota-load.ts";
import type { Ordeal } from "../support/quota-ordeal.ts";

/** Prints what was measured. */
export function printOrdeal({ phases, audit, findings }: Ordeal): void {
  print("");
  printPhases(phases);
  print("");
  printAudit(audit);
  print("");
  if (findings.length === 0) print("All is as it must be.");
  for (const finding of findings) print(`NOT AS IT MUST BE: ${finding}`);
}

function printPhases(phases: readonly Phase[]): void {
  const head = ["phase", "proxies", "sent", "200", "429", "503", "disk", "left", "failed", "lost"];
  const rows = phases.flatMap(({ name, steady, killed }) => [
    describe(name, "not killed", steady),
    ...(killed.sent === 0 ? [] : [describe(name, "killed", killed)]),
  ]);
  printTable([[...head, "at once", "late ms"], ...rows]);
  for (const { name, steady, killed } of phases) {
    for (const [words, count] of [...steady.words, ...killed.words]) {
      print(`${name}: ${count} times "${words}"`);
    }
  }
  print("disk: 503 too, since the proxy's disk held up for longer than a second;");
  print("left: the client went away as planned; failed: the upstream was ordered to fail;");
  print("lost: the proxy was killed or away; late: longest wait beyond the upstream's own time.");
}

function describe(name: string, which: string, tally: Tally): string[] {
  const { sent, served, exhausted, unproven, stalled, left, failed, lost, openMax, lateMsMax } =
    tally;
  const counts = [sent, served, exhausted, unproven, stalled, left, failed, lost, openMax];
  return [name, which, ...counts.map(String), String(Math.round(lateMsMax))];
}

function printAudit({ ceiling, billed, sums, proxies }: QuotaAudit): void {
  const { spent, leased, forfeited } = sums;
  const part = (100 * spent) / (ceiling - forfeited);
  const rows = proxies.map((proxy) => [
    proxy.kills > 0 ? `${proxy.id}, killed` : proxy.id,
    say(proxy.billed),
    say(proxy.booked),
    say(proxy.forfeited),
    say(proxy.tellingBilled),
    say(proxy.tellingBooked),
    `${proxy.answered} / ${proxy.counted}`,
  ]);
  const head = [
    "nano-USD",
    "billed",
    "booked",
    "forfeited",
    "told",
    "booked",
    "answered / counted",
  ];
  printTable([head, ...rows]);
  print("told, booked: at the model whose upstream always tells what it used.");
  print("");
  print(`ceiling        ${say(ceiling).padStart(15)} nano-USD`);
  print(`billed         ${say(billed).padStart(15)} by the upstream's own account`);
  print(`over           ${say(Math.max(0, billed - ceiling)).padStart(15)}`);
  print(`spent          ${say(spent).padStart(15)} by the ledger`);
  print(`forfeited      ${say(forfeited).padStart(15)} by the crash`);
  print(`held           ${say(leased).padStart(15)} at the end`);
  print(
    `spendable      ${`${part.toFixed(3)} %`.padStart(15)} of what was not forfeited was spent`,
  );
}

function printTable(rows: readonly (readonly string[])[]): void {
  const widths: number[] = [];
  for (const row of rows) {
    row.forEach((cell, i) => {
      widths[i] = Math.max(widths[i] ?? 0, cell.length);
    });
  }
  for (const row of rows) {
    print(
      row
        .map((cell, i) => (i < 1 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)))
        .join("  "),
    );
  }
}

function say(amount: number): string {
  return amount.toLocaleString("en-US");
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
