/** Marks words in the messages that are in the page, without changing them. */

const NAME = "found";
const MOST = 500; // marks
let words: RegExp | null = null;

/** Marks the words of a query, now and whenever `remark` is called. */
export function markWords(q: string): void {
  const found = q.match(/[\p{L}\p{N}]+/gu) ?? [];
  const plain = found.filter((word) => word.toLowerCase() !== "or");
  words = plain.length ? new RegExp(plain.join("|"), "giu") : null;
  remark();
}

/** Takes all marks away. */
export function unmark(): void {
  words = null;
  CSS.highlights?.delete(NAME);
}

/** Marks the words in the messages that are in the page now. */
export function remark(): void {
  if (!words || !CSS.highlights) return;
  const ranges: Range[] = [];
  for (const body of document.querySelectorAll("article")) collect(body, words, ranges);
  CSS.highlights.set(NAME, new Highlight(...ranges));
}

function collect(body: Element, words: RegExp, ranges: Range[]): void {
  const walker = document.createTreeWalker(body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode() && ranges.length < MOST) {
    const node = walker.currentNode as Text;
    for (const { index, 0: word } of node.data.matchAll(words)) {
      const range = new Range();
      range.setStart(node, index);
      range.setEnd(node, index + word.length);
      ranges.push(range);
    }
  }
}
