import { text } from "node:stream/consumers";
import { printNote } from "./output.ts";

/** All of standard input. Who sits at a terminal is told that it is waited for. */
export async function readStandardInput(): Promise<string> {
  if (process.stdin.isTTY) printNote("(reading standard input; end it with Ctrl-D)");
  return await text(process.stdin);
}
