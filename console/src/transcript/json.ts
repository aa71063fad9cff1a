/** JSON as text. */

/** Returns a value with two spaces for each level, or a note if it is nested too deeply. */
export function json(value: unknown): string {
  try {
    return JSON.stringify(value, null, 2) ?? "null";
  } catch {
    return "(nested too deeply to be shown)";
  }
}

/** Returns the object or list that a text is, or undefined. */
export function parsed(text: string): unknown {
  if (!/^\s*[[{]/.test(text)) return undefined;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

const ANSI = new RegExp(
  "\\u001b(?:\\[[0-9;:?]*[ -/]*[@-~]|\\][^\\u0007\\u001b]*(?:\\u0007|\\u001b\\\\)?|[@-Z\\\\-_])",
  "g",
);

/** Returns the output of a program without the sequences that colour a terminal. */
export function withoutAnsi(text: string): string {
  return text.replace(ANSI, "");
}
