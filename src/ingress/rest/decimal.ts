/** Nano-USD as an exact decimal number of USD, such as `0.00015`. */
export function formatNanoUsd(nanoUsd: bigint): string {
  return formatDecimal(nanoUsd, 9);
}

/** A price in nano-USD for a million tokens as an exact decimal number of USD for one token. */
export function formatTokenPrice(nanoUsdPerMillion: bigint): string {
  return formatDecimal(nanoUsdPerMillion, 15);
}

/** `units` × 10^-`places`, exactly and without zeros at the end. */
function formatDecimal(units: bigint, places: number): string {
  const negative = units < 0n;
  const digits = String(negative ? -units : units).padStart(places + 1, "0");
  const whole = digits.slice(0, -places);
  const fraction = digits.slice(-places).replace(/0+$/, "");
  const sign = negative ? "-" : "";
  return fraction === "" ? sign + whole : `${sign}${whole}.${fraction}`;
}
