import type { ComponentChildren } from "preact";
import styles from "./states.module.css";

/** The state of a view that has nothing to show: what is missing, and what to do. */
export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
  return (
    <div class={styles.empty}>
      <p class={styles.title}>{title}</p>
      {children}
    </div>
  );
}
