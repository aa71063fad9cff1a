/** Which of the loaded messages stay in memory. */

import type { Entry } from "./store";

const MOST = 3000; // messages
const LARGEST = 64_000_000; // characters of all messages
const MARGIN = 200; // messages before and after those in view that stay in any case

/** Returns the entries without some. */
export function without(entries: readonly Entry[], seqs: Set<number>): readonly Entry[] {
  return entries.filter((entry) => !seqs.has(entry.seq));
}

/** Returns the characters of the texts in a value, about. */
export function weight(value: unknown): number {
  let sum = 0;
  for (const left = [value]; left.length;) {
    const one = left.pop();
    if (typeof one === "string") sum += one.length;
    else sum += 16;
    if (typeof one === "object" && one !== null) for (const inner of Object.values(one)) left.push(inner);
  }
  return sum;
}

/** Bounds the entries by number and size. */
export class Window {
  #weights = new WeakMap<Entry, number>();

  /** Returns the entries that stay after some were added at a side. */
  kept(entries: Entry[], view: [number, number] | null, side: "older" | "newer"): Entry[] {
    const kept = this.#cut(entries, view, side);
    return kept.length > 2 * MOST ? this.#cut(kept, view, side === "older" ? "newer" : "older") : kept;
  }

  /** Returns the entries without the farthest from the side that has just been added to, down to what is in view. */
  #cut(entries: Entry[], view: [number, number] | null, side: "older" | "newer"): Entry[] {
    let size = entries.reduce((sum, entry) => sum + this.#weight(entry), 0);
    let [from, to] = [0, entries.length];
    const first = entries.findIndex((entry) => entry.seq >= (view?.[0] ?? 0));
    const last = entries.findLastIndex((entry) => entry.seq <= (view?.[1] ?? Infinity));
    while (to - from > MOST || (size > LARGEST && to > from)) {
      if (side === "newer" ? from >= first - MARGIN : to <= last + MARGIN) break;
      size -= this.#weight(entries[side === "newer" ? from++ : --to]!);
    }
    return entries.slice(from, to);
  }

  #weight(entry: Entry): number {
    let known = this.#weights.get(entry);
    if (known === undefined) this.#weights.set(entry, (known = weight(entry.message)));
    return known;
  }
}
