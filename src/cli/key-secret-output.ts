import { print, printNote } from "./output.ts";

/**
 * The secret alone goes to standard output, so that `weir keys create … > file` keeps it and
 * nothing else.
 */
export function printSecret(message: string, secret: string): void {
  printNote(message);
  if (secret !== "") print(secret);
}
