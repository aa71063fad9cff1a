import { effect } from "@preact/signals";
import { useEffect, useRef, useState } from "preact/hooks";
import { Button } from "../ui/button";
import { ErrorNote } from "../ui/error-note";
import { Loading } from "../ui/loading";
import type { Draft } from "./draft";
import type { Fault, JsonEditor } from "./editor-view";
import styles from "./configs.module.css";

/** The whole config as JSON, in step with the form, with its faults at their places and as a list. */
export function Editor({ draft }: { draft: Draft }) {
  const element = useRef<HTMLDivElement>(null);
  const editor = useRef<JsonEditor | null>(null);
  const [faults, setFaults] = useState<Fault[]>([]);
  const [state, setState] = useState<{ ready: boolean; error?: unknown }>({ ready: false });
  useEffect(() => {
    let left = false;
    let stop = () => {};
    import("./editor-view").then(
      ({ JsonEditor }) => {
        if (left) return;
        const made = new JsonEditor({
          parent: element.current!,
          text: draft.text.value,
          onChange: (text) => (draft.text.value = text),
          onFaults: setFaults,
        });
        editor.current = made;
        const ends = [effect(() => made.show(draft.text.value)), effect(() => made.mark(draft.problems.value))];
        stop = () => (ends.forEach((end) => end()), made.destroy());
        setState({ ready: true });
      },
      (error: unknown) => setState({ ready: false, error }),
    );
    return () => ((left = true), stop());
  }, [draft]);
  return (
    <section class={styles.json} aria-label="JSON">
      <h2>JSON</h2>
      {state.error !== undefined && <ErrorNote error={state.error} />}
      {!state.ready && state.error === undefined && <Loading what="Loading the editor" />}
      <div ref={element} class={styles.editor} />
      {faults.length > 0 && (
        <ul class={styles.faults} aria-label="Faults" aria-live="polite">
          {faults.map(({ line, from, message }) => (
            <li key={`${from} ${message}`}>
              <Button kind="quiet" onClick={() => editor.current?.goTo(from)}>
                Line {line}
              </Button>{" "}
              {message}
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}
