import { createHash } from "node:crypto";
import { existsSync, mkdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/**
 * A directory for what `fill` fetches, outside of the repository and kept between runs. Another
 * `stamp` (the pinned versions, and those of the tools that fetch them) gets another directory.
 */
export async function useCache(
  name: string,
  stamp: readonly string[],
  fill: (directory: string) => Promise<void>,
): Promise<string> {
  const platform = `${process.platform} ${process.arch}`;
  const hash = createHash("sha256")
    .update(JSON.stringify([platform, ...stamp]))
    .digest("hex");
  const directory = join(tmpdir(), `weir-interop-${name}-${hash.slice(0, 12)}`);
  const complete = join(directory, "complete");
  if (existsSync(complete)) {
    assertOwn(directory);
    return directory;
  }
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { mode: 0o700 });
  await fill(directory);
  writeFileSync(complete, "");
  return directory;
}

/** Programs are run from there: nobody else may have put them there. */
function assertOwn(directory: string): void {
  const { uid } = statSync(directory);
  if (process.getuid !== undefined && process.getuid() !== uid) {
    throw new Error(`${directory} belongs to somebody else: remove it`);
  }
}
