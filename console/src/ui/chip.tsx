import type { ComponentChildren } from "preact";
import styles from "./chip.module.css";

/** A short label, such as a tag or a filter; with `onRemove`, a button takes it away. */
export function Chip({
  children,
  name,
  onRemove,
}: {
  children: ComponentChildren;
  name?: string;
  onRemove?: () => void;
}) {
  return (
    <span class={styles.chip}>
      <span class={styles.text}>{children}</span>
      {onRemove && (
        <button type="button" aria-label={`Remove ${name ?? "filter"}`} onClick={onRemove}>
          ✕
        </button>
      )}
    </span>
  );
}
