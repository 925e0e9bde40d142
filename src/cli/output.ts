import { inspect } from "node:util";

/** Writes one line, or several, to standard output. */
export function print(text: string): void {
  process.stdout.write(text.endsWith("\n") ? text : `${text}\n`);
}

/** Writes a line for people who watch, where programs do not read it: to standard error. */
export function printNote(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** Writes JSON for programs, indented. */
export function printJson(value: unknown): void {
  print(JSON.stringify(value, undefined, 2) ?? inspect(value));
}

/**
 * Text from elsewhere as a terminal may have it: what could move its cursor or rename its window is
 * replaced. Newlines and tabs stay.
 */
export function toPrintable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what a terminal obeys
  return text.replace(/[\x00-\x08\x0b-\x1f\x7f-\x9f]/g, "�");
}

/** The same on one line, for cells of a table. */
export function toCell(text: string): string {
  return toPrintable(text).replace(/\s+/g, " ").trim();
}

/**
 * What to do when whoever reads standard output has gone, such as `head`: a command has nothing
 * left to do, a server has.
 */
export function outliveReader(isServer: boolean): void {
  const { stdout } = process;
  for (const listener of [endWithReader, ignore]) stdout.removeListener("error", listener);
  stdout.on("error", isServer ? ignore : endWithReader);
}

function endWithReader(error: NodeJS.ErrnoException): void {
  process.exit(error.code === "EPIPE" ? 0 : 1);
}

function ignore(): void {}
