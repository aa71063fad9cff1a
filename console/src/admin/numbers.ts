const WHOLE = new Intl.NumberFormat();
const SHORT = new Intl.NumberFormat(undefined, { notation: "compact", maximumFractionDigits: 1 });
const PARTS = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 });

/** Returns a number with separators; a dash for what is not counted. */
export function whole(value: number | null): string {
  return value === null ? "–" : WHOLE.format(value);
}

/** Returns a number in few characters, as `1.2M`. */
export function short(value: number): string {
  return SHORT.format(value);
}

/** Returns a time as `350 ms`, `4.2 s`, `12.5 min` or `3.1 h`. */
export function duration(seconds: number | null): string {
  if (seconds === null) return "–";
  if (seconds < 1) return `${PARTS.format(seconds * 1000)} ms`;
  if (seconds < 120) return `${PARTS.format(seconds)} s`;
  return seconds < 7200 ? `${PARTS.format(seconds / 60)} min` : `${PARTS.format(seconds / 3600)} h`;
}

/** Returns the sum of one member over all rows. */
export function sum<T>(rows: readonly T[], of: (row: T) => number | null): number {
  return rows.reduce((total, row) => total + (of(row) ?? 0), 0);
}
