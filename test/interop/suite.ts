/** What one foreign toolchain tests. */
export interface Suite {
  readonly name: string;
  /**
   * Fetches what is pinned and builds the programs in `workplace`, an empty directory. Throws
   * Absent when this machine lacks the toolchain or its registry, and any other error when Weir's
   * own material does not generate or compile.
   */
  build(workplace: string): Promise<readonly Program[]>;
}

/**
 * A program that asks a running Weir. It finds it by WEIR_ADDRESS, WEIR_KEY and WEIR_ADMIN_KEY, and
 * prints a line `ok FACT` or `FAIL FACT: WHY` for each fact that it tried.
 */
export interface Program {
  readonly name: string;
  readonly command: readonly [string, ...string[]];
  readonly env?: Readonly<Record<string, string>>;
}

/** A toolchain, or the registry that it is filled from, is not to be had here. */
export class Absent extends Error {}
