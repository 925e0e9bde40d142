/**
 * Foreign toolchains talk to a running Weir: `node test/interop/run.ts [SUITE…]`. Each generates
 * its client from `proto/` as the README says. A suite whose toolchain is absent is skipped, but
 * fails when it was named. Closes with `N passed, N failed, N skipped`.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runBounded } from "./bounded.ts";
import { go } from "./go.ts";
import { h2spec } from "./h2spec.ts";
import { java } from "./java.ts";
import { python } from "./python.ts";
import { rust } from "./rust.ts";
import { type StartedWeir, startWeir } from "./start-weir.ts";
import { Absent, type Program, type Suite } from "./suite.ts";

const PROGRAM_MS = 180_000;
const suites: readonly Suite[] = [python, go, java, rust, h2spec];

const named = process.argv.slice(2);
const unknown = named.filter((name) => !suites.some((suite) => suite.name === name));
const counts = { passed: 0, failed: 0, skipped: 0 };

// What was started ends with this process, also when it is interrupted.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1));

if (unknown.length > 0) {
  const known = suites.map((suite) => suite.name).join(", ");
  fail(`there is no suite ${unknown.join(", ")}; there are ${known}`);
} else {
  const weir = await startWeir();
  for (const suite of suites) {
    if (named.length === 0 || named.includes(suite.name)) await runSuite(suite, weir);
  }
  const faults = await weir.stop();
  if (faults.length === 0) pass("weir: drained on SIGTERM, and logged no error");
  for (const fault of faults) fail(`weir: ${fault}`);
}
console.log(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
process.exit(counts.failed === 0 ? 0 : 1);

async function runSuite(suite: Suite, weir: StartedWeir): Promise<void> {
  const workplace = mkdtempSync(join(tmpdir(), `weir-interop-run-${suite.name}-`));
  try {
    const programs = await suite.build(workplace);
    pass(`${suite.name}: the client generates and builds`);
    for (const program of programs) await runProgram(suite, program, weir);
  } catch (thrown) {
    const why = thrown instanceof Error ? thrown.message : String(thrown);
    if (thrown instanceof Absent && !named.includes(suite.name)) skip(`${suite.name}: ${why}`);
    else fail(`${suite.name}: ${why}`);
  } finally {
    rmSync(workplace, { recursive: true, force: true });
  }
}

async function runProgram(suite: Suite, program: Program, weir: StartedWeir): Promise<void> {
  const name = `${suite.name}: ${program.name}`;
  const before = { ...counts };
  const { code, output } = await runBounded(program.command, {
    timeoutMs: PROGRAM_MS,
    env: { ...weir.env, ...program.env },
    onLine: (line) => {
      if (line.startsWith("ok ")) pass(`${name}: ${line.slice(3)}`);
      else if (line.startsWith("FAIL ")) fail(`${name}: ${line.slice(5)}`);
      else console.log(`     ${name}: ${line}`);
    },
  });
  const tried = counts.passed + counts.failed - before.passed - before.failed;
  if (tried === 0) fail(`${name}: tried no fact: ${output}`);
  // A program that dies has not tried all of its facts, whatever it had said of the others.
  else if (code !== 0 && counts.failed === before.failed) {
    fail(`${name}: ended with ${code ?? "no code"}: ${output}`);
  }
}

function pass(text: string): void {
  counts.passed += 1;
  console.log(`ok   ${text}`);
}

function fail(text: string): void {
  counts.failed += 1;
  console.log(`FAIL ${text}`);
}

function skip(text: string): void {
  counts.skipped += 1;
  console.log(`skip ${text}`);
}
