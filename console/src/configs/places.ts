/** Where values are in the text of a config, by the syntax tree of the editor. */

import { ensureSyntaxTree } from "@codemirror/language";
import type { Diagnostic } from "@codemirror/lint";
import type { EditorState } from "@codemirror/state";
import type { SyntaxNode } from "@lezer/common";

const WITHIN = 500; // milliseconds for the tree of the whole text

/** Returns the range of the value that a problem names as `config_data.providers[0].module`, or of what would have it. */
export function rangeOf(state: EditorState, field: string): { from: number; to: number } {
  const tree = ensureSyntaxTree(state, state.doc.length, WITHIN);
  let node: SyntaxNode | null = tree?.topNode.firstChild ?? null;
  let rest = field.replace(/^config_data\.?/, "");
  while (node && rest) {
    const found: Step | null = node.name === "Array" ? intoArray(node, rest) : intoObject(state, node, rest);
    if (!found) break;
    [node, rest] = found;
  }
  if (!node) return { from: 0, to: 0 };
  const isLarge = node.name === "Object" || node.name === "Array";
  return { from: node.from, to: isLarge ? node.from + 1 : node.to };
}

/** Returns what is wrong with the JSON itself, and where: browsers tell the place in different ways or not at all. */
export function syntaxFault(state: EditorState): Diagnostic | null {
  try {
    JSON.parse(state.doc.toString());
    return null;
  } catch (error) {
    let place = state.doc.length;
    ensureSyntaxTree(state, state.doc.length, WITHIN)?.iterate({
      enter: ({ type, from }) => void (type.isError && (place = Math.min(place, from))),
    });
    const said = (error as Error).message.replace(
      /(, \.{3}| in JSON| is not valid JSON| at position| at line).*$/s,
      "",
    );
    return {
      from: place,
      to: place,
      severity: "error",
      message: `${said.replace(/^JSON\.parse: /, "")}: mend the JSON`,
    };
  }
}

type Step = [node: SyntaxNode, rest: string];

function intoArray(array: SyntaxNode, rest: string): Step | null {
  const [whole, index] = /^\[(\d+)\]\.?/.exec(rest) ?? [];
  const items = whole === undefined ? [] : childrenOf(array).filter(({ name }) => !/^[[\],]$/.test(name));
  const item = items[Number(index)];
  return item ? [item, rest.slice(whole!.length)] : null;
}

/** Takes the longest key with which `rest` begins, since keys may have dots. */
function intoObject(state: EditorState, object: SyntaxNode, rest: string): Step | null {
  let best: [key: string, value: SyntaxNode] | null = null;
  for (const property of object.getChildren("Property")) {
    const [name, value] = [property.firstChild, property.lastChild];
    if (!name || !value || name.name !== "PropertyName") continue;
    const key = unquoted(state.sliceDoc(name.from, name.to));
    const ends = ["", ".", "["].includes(rest.charAt(key.length));
    if (rest.startsWith(key) && ends && key.length >= (best?.[0].length ?? 0)) best = [key, value];
  }
  return best && [best[1], rest.slice(best[0].length).replace(/^\./, "")];
}

function childrenOf(node: SyntaxNode): SyntaxNode[] {
  const found = [];
  for (let child = node.firstChild; child; child = child.nextSibling) found.push(child);
  return found;
}

/** Returns the text of a JSON string, or the string as it is if it is none. */
export function unquoted(text: string): string {
  try {
    return String(JSON.parse(text));
  } catch {
    return text;
  }
}
