/** Runs the tests (all, or those whose path holds an argument) and closes with `N passed, N failed, N skipped`. */
import { startVitest, type TestModule } from "vitest/node";

const runner = await startVitest("test", process.argv.slice(2), { watch: false });
const counts = { passed: 0, failed: 0, skipped: 0 };
for (const module of runner.state.getTestModules()) count(module);
const broken = runner.state.getUnhandledErrors().length;
await runner.close();
counts.failed += broken;
if (counts.passed + counts.failed === 0) {
  console.error("No test ran: check the path that was given.");
  counts.failed += 1;
}
process.exitCode = counts.failed === 0 ? 0 : 1;
console.log(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);

function count(module: TestModule): void {
  // A file that cannot even be loaded holds no tests, and must not pass for green.
  if (module.errors().length > 0) counts.failed += 1;
  for (const test of module.children.allTests()) {
    const { state } = test.result();
    if (state === "passed" || state === "failed" || state === "skipped") counts[state] += 1;
  }
}
