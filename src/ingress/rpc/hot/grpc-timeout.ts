import { MeshError } from "../../../mesh/errors.ts";

/** Reads a `grpc-timeout` field, such as `100m`, as milliseconds. NaN for anything else. */
export function readGrpcTimeout(value: string): number {
  const unitMs = unitsMs[value.charAt(value.length - 1)];
  const digits = value.slice(0, -1);
  return unitMs === undefined || !DIGITS.test(digits) ? Number.NaN : Number(digits) * unitMs;
}

/** Throws INVALID_REQUEST when a timeout could not be read. */
export function assertTimeout(timeoutMs: number | undefined): void {
  if (timeoutMs === undefined || !Number.isNaN(timeoutMs)) return;
  throw new MeshError(
    "INVALID_REQUEST",
    "grpc-timeout must be at most 8 digits and one of the units H, M, S, m, u and n.",
    { field: "grpc-timeout" },
  );
}

const DIGITS = /^[0-9]{1,8}$/;

const unitsMs: Readonly<Record<string, number | undefined>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1000,
  m: 1,
  u: 1e-3,
  n: 1e-6,
};
