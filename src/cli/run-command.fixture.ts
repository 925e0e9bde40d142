import { vi } from "vitest";
import { runCommandLine } from "./command-line.ts";

/** What a command line did. */
export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs a command line in this process and catches what it writes. */
export async function runCommand(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>> = {},
  onOut: (text: string) => void = () => {},
): Promise<Ran> {
  let out = "";
  let err = "";
  const catchOut = vi.spyOn(process.stdout, "write").mockImplementation((text) => {
    out += text;
    onOut(String(text));
    return true;
  });
  const catchErr = vi.spyOn(process.stderr, "write").mockImplementation((text) => {
    err += text;
    return true;
  });
  try {
    const code = await runCommandLine(args, env);
    return { code, out, err };
  } finally {
    catchOut.mockRestore();
    catchErr.mockRestore();
  }
}
