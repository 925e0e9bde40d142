import { pino } from "pino";

/**
 * What the house says of itself to those who run it: JSON lines on standard error. Never a secret,
 * never a prompt.
 */
export interface Log {
  info(fields: Readonly<Record<string, unknown>>, message: string): void;
  warn(fields: Readonly<Record<string, unknown>>, message: string): void;
  error(fields: Readonly<Record<string, unknown>>, message: string): void;
}

/**
 * `process` names the part that speaks: `control`, `proxy-0`, … Level from WEIR_LOG_LEVEL, `info`
 * when unset.
 */
export function createLog(part: string, level: string): Log {
  return pino(
    {
      level,
      base: { part },
      timestamp: pino.stdTimeFunctions.isoTime,
      // Without this an Error under `error` is written without its message.
      serializers: { error: pino.stdSerializers.errWithCause },
    },
    pino.destination({ dest: 2, sync: true }),
  );
}
