type Variables = Readonly<Record<string, string | undefined>>;

export function withMemorySettings<E extends Variables>(
  env: E,
): Omit<E, "NODE_OPTIONS" | "MALLOC_ARENA_MAX"> & {
  readonly NODE_OPTIONS: string;
  readonly MALLOC_ARENA_MAX: string;
};
