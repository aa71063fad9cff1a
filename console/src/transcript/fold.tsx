/** What is folded until somebody opens it. What was open stays so while the list scrolls past it. */

import type { ComponentChildren } from "preact";
import { createContext } from "preact";
import { useContext, useEffect, useState } from "preact/hooks";
import { classes } from "../ui/classes";
import styles from "./fold.module.css";

/** The names of the folds that are open, for as long as the page is. */
export const Unfolded = createContext<Set<string>>(new Set());

/** Whether everything in the message is to be open: it is the one that was asked for. */
export const Unfolding = createContext(false);

interface Props {
  /** The name of the fold on the page. */
  id: string;
  summary: ComponentChildren;
  kind?: "error";
  children: () => ComponentChildren;
}

export function Fold({ id, summary, kind, children }: Props) {
  const unfolded = useContext(Unfolded);
  const unfolding = useContext(Unfolding);
  const [open, setOpen] = useState(unfolding || unfolded.has(id));
  useEffect(() => {
    if (unfolding) setOpen(true);
  }, [unfolding]);
  return (
    <details
      open={open}
      class={classes(styles.fold, kind && styles[kind])}
      onToggle={({ currentTarget }) => {
        setOpen(currentTarget.open);
        if (currentTarget.open) unfolded.add(id);
        else unfolded.delete(id);
      }}
    >
      <summary class={styles.summary}>{summary}</summary>
      {open && <div class={styles.inside}>{children()}</div>}
    </details>
  );
}

/** Returns the beginning of a text in one line. */
export function preview(text: string, length = 100): string {
  const line = text
    .slice(0, 4 * length)
    .replace(/\s+/g, " ")
    .trim();
  return line.length > length || text.length > 4 * length ? `${line.slice(0, length)}…` : line;
}
