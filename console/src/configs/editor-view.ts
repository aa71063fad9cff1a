/** The editor of JSON, a chunk of its own. It lives in a shadow root, whose styles the policy of the page allows. */

import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { json } from "@codemirror/lang-json";
import {
  bracketMatching,
  foldGutter,
  foldKeymap,
  HighlightStyle,
  indentOnInput,
  syntaxHighlighting,
} from "@codemirror/language";
import { type Diagnostic, forceLinting, linter, lintGutter, lintKeymap } from "@codemirror/lint";
import { Annotation, EditorState, StateEffect } from "@codemirror/state";
import { drawSelection, EditorView, highlightActiveLine, keymap, lineNumbers, type ViewUpdate } from "@codemirror/view";
import { tags } from "@lezer/highlight";
import type { Schemas } from "../api/client";
import { hiddenSecrets } from "./hidden";
import { rangeOf, syntaxFault } from "./places";

type Problem = Schemas["FieldError"];

/** A fault as it is listed below the editor. */
export interface Fault {
  line: number;
  from: number;
  message: string;
}

interface Options {
  parent: HTMLElement;
  text: string;
  onChange: (text: string) => void;
  onFaults: (faults: Fault[]) => void;
}

const byForm = Annotation.define<boolean>();
const marked = StateEffect.define<null>();

/** The text is looked at again also when only what the service says about it is new. */
const LINTING = {
  delay: 300,
  needsRefresh: ({ transactions }: ViewUpdate) =>
    transactions.some(({ effects }) => effects.some((one) => one.is(marked))),
};

const HIGHLIGHTS = HighlightStyle.define([
  { tag: tags.propertyName, color: "var(--accent)" },
  { tag: tags.string, color: "var(--success)" },
  { tag: [tags.number, tags.bool, tags.null], color: "var(--warning)" },
]);

const THEME = EditorView.theme({
  "&": { color: "var(--text)", backgroundColor: "var(--surface)", fontSize: "var(--small)", maxHeight: "70vh" },
  "&.cm-focused": { outline: "2px solid var(--accent)", outlineOffset: "1px" },
  ".cm-scroller": { fontFamily: "var(--mono)", overflow: "auto" },
  ".cm-content, .cm-gutter": { minHeight: "12rem" },
  ".cm-content": { caretColor: "var(--text)" },
  ".cm-cursor": { borderLeftColor: "var(--text)" },
  ".cm-gutters": { backgroundColor: "var(--sunken)", color: "var(--text-soft)", border: "none" },
  ".cm-activeLine, .cm-activeLineGutter": { backgroundColor: "transparent" },
  ".cm-selectionBackground, &.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground": {
    backgroundColor: "var(--selected)",
  },
  "&.cm-focused .cm-matchingBracket": { backgroundColor: "var(--selected)" },
  ".cm-tooltip": { backgroundColor: "var(--surface)", color: "var(--text)", border: "1px solid var(--border-strong)" },
  ".cm-foldPlaceholder": { backgroundColor: "var(--hover)", color: "var(--text-soft)", border: "none" },
  ".cm-encrypted": {
    backgroundColor: "var(--hover)",
    color: "var(--text-soft)",
    borderRadius: "4px",
    padding: "0 4px",
  },
  ".cm-secret": { "-webkit-text-security": "disc" },
});

/** An editor whose text a form changes, too. */
export class JsonEditor {
  readonly #view: EditorView;
  #problems: readonly Problem[] = [];

  constructor({ parent, text, onChange, onFaults }: Options) {
    const root = parent.shadowRoot ?? parent.attachShadow({ mode: "open" });
    const lint = ({ state }: EditorView): readonly Diagnostic[] => {
      const fault = syntaxFault(state);
      const all = fault ? [fault] : this.#problems.map((one) => diagnostic(state, one));
      onFaults(all.map(({ from, message }) => ({ from, message, line: state.doc.lineAt(from).number })));
      return all;
    };
    const extensions = [
      [lineNumbers(), foldGutter(), lintGutter(), history(), drawSelection(), indentOnInput(), bracketMatching()],
      [highlightActiveLine(), EditorView.lineWrapping, EditorState.tabSize.of(2)],
      [json(), syntaxHighlighting(HIGHLIGHTS), hiddenSecrets, THEME, linter(lint, LINTING)],
      keymap.of([...defaultKeymap, ...historyKeymap, ...foldKeymap, ...lintKeymap]),
      EditorView.contentAttributes.of({ "aria-label": "Config as JSON", spellcheck: "false" }),
      EditorView.updateListener.of(({ docChanged, state, transactions }) => {
        if (docChanged && !transactions.some((one) => one.annotation(byForm))) onChange(state.doc.toString());
      }),
    ];
    this.#view = new EditorView({ root, parent: root, state: EditorState.create({ doc: text, extensions }) });
  }

  /** Shows a text that the form made: only what differs is replaced, so that cursor and scroll stay. */
  show(text: string): void {
    const former = this.#view.state.doc.toString();
    if (former === text) return;
    let from = 0;
    while (from < former.length && former[from] === text[from]) from++;
    let [to, end] = [former.length, text.length];
    while (to > from && end > from && former[to - 1] === text[end - 1]) [to, end] = [to - 1, end - 1];
    this.#view.dispatch({ changes: { from, to, insert: text.slice(from, end) }, annotations: byForm.of(true) });
  }

  /** Shows what the service says, at the values that it names. */
  mark(problems: readonly Problem[]): void {
    this.#problems = problems.filter(({ field }) => field.startsWith("config_data"));
    this.#view.dispatch({ effects: marked.of(null) });
    forceLinting(this.#view);
  }

  /** Moves the cursor and the focus to a place of the text. */
  goTo(from: number): void {
    this.#view.dispatch({ selection: { anchor: from }, scrollIntoView: true });
    this.#view.focus();
  }

  destroy(): void {
    this.#view.destroy();
  }
}

function diagnostic(state: EditorState, { field, detail }: Problem): Diagnostic {
  return { ...rangeOf(state, field), severity: "error", message: detail };
}
