/** What people type, as the search takes it while they type. */

const SHORTEST = 3; // letters: fewer are the beginning of nearly everything
const BEGINNING = new RegExp(`[\\p{L}\\p{M}\\p{N}]{${SHORTEST}}$`, "u");
// each part of a text in these scripts is found without it
const UNSPACED =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]$/u;

/** Returns `q` in which the last word is the beginning of one: `direct fli` finds flights. A space ends a word. */
export function asTyped(q: string): string {
  const last = q.split(/\s/).at(-1)!;
  const isQuoted = q.split('"').length % 2 === 0; // after it, the quotation goes on
  if (isQuoted || last.startsWith("-") || !BEGINNING.test(last) || UNSPACED.test(last)) return q;
  return `${q}*`;
}
