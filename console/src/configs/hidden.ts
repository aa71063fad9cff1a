/** Hides secrets in the editor: encrypted ones are a mark, others are dots. */

import { syntaxTree } from "@codemirror/language";
import { type Range, RangeSet } from "@codemirror/state";
import { Decoration, type DecorationSet, EditorView, ViewPlugin, type ViewUpdate, WidgetType } from "@codemirror/view";
import type { SyntaxNode } from "@lezer/common";
import { unquoted } from "./places";
import { isEncrypted, isReference, namesSecret } from "./secrets";

class Mark extends WidgetType {
  override toDOM(): HTMLElement {
    const element = document.createElement("span");
    element.className = "cm-encrypted";
    element.textContent = "encrypted secret";
    return element;
  }

  override eq(): boolean {
    return true;
  }
}

const ENCRYPTED = Decoration.replace({ widget: new Mark() });
const DOTS = Decoration.mark({ class: "cm-secret" });

function decorations(view: EditorView): DecorationSet {
  const found: Range<Decoration>[] = [];
  for (const { from, to } of view.visibleRanges) {
    syntaxTree(view.state).iterate({
      from,
      to,
      enter({ name, node, from, to }) {
        if (name !== "String") return;
        const value = unquoted(view.state.sliceDoc(from, to));
        if (isEncrypted(value)) found.push(ENCRYPTED.range(from, to));
        else if (to - from > 2 && !isReference(value) && isSecret(view, node)) found.push(DOTS.range(from + 1, to - 1));
      },
    });
  }
  return RangeSet.of(found, true);
}

/** Returns whether the value is below a key that names a secret. */
function isSecret(view: EditorView, node: SyntaxNode): boolean {
  for (let one = node.parent; one; one = one.parent) {
    const name = one.name === "Property" ? one.firstChild : null;
    if (name && namesSecret(unquoted(view.state.sliceDoc(name.from, name.to)))) return true;
  }
  return false;
}

export const hiddenSecrets = ViewPlugin.fromClass(
  class {
    decorations: DecorationSet;

    constructor(view: EditorView) {
      this.decorations = decorations(view);
    }

    update({ docChanged, viewportChanged, startState, state, view }: ViewUpdate): void {
      if (docChanged || viewportChanged || syntaxTree(startState) !== syntaxTree(state))
        this.decorations = decorations(view);
    }
  },
  {
    decorations: (plugin) => plugin.decorations,
    provide: (plugin) =>
      EditorView.atomicRanges.of((view) => {
        const set = view.plugin(plugin)?.decorations ?? Decoration.none;
        return set.update({ filter: (_from, _to, value) => value === ENCRYPTED });
      }),
  },
);
