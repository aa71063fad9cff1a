import { cloneElement, type VNode } from "preact";
import { useId } from "preact/hooks";
import styles from "./field.module.css";

interface Props {
  label: string;
  /** Says what to enter. */
  hint?: string;
  /** Says what is wrong with the value. */
  error?: string;
  children: VNode<any>; // the control
}

/** A control with its label; a hint and an error describe it. The control is the only child. */
export function Field({ label, hint, error, children }: Props) {
  const id = useId();
  const described = [hint && `${id}-hint`, error && `${id}-error`].filter(Boolean).join(" ");
  const control = { "aria-describedby": described || undefined, "aria-invalid": error ? true : undefined };
  return (
    <div class={styles.field}>
      <label class={styles.control}>
        <span class={styles.label}>{label}</span>
        {cloneElement(children, control)}
      </label>
      {hint && (
        <span id={`${id}-hint`} class={styles.hint}>
          {hint}
        </span>
      )}
      {error && (
        <span id={`${id}-error`} class={styles.error} role="alert">
          {error}
        </span>
      )}
    </div>
  );
}
