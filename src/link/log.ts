/** Where this room tells those who run Weir what happens; pino's loggers fit. */
export interface LinkLog {
  info(facts: Readonly<Record<string, unknown>>, message: string): void;
  warn(facts: Readonly<Record<string, unknown>>, message: string): void;
}
