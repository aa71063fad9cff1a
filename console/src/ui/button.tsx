import type { ButtonHTMLAttributes } from "preact";
import { useState } from "preact/hooks";
import { classes } from "./classes";
import { showError } from "./toast";
import styles from "./button.module.css";

interface Props extends Omit<ButtonHTMLAttributes<HTMLButtonElement>, "onClick"> {
  kind?: "plain" | "primary" | "danger" | "quiet";
  /** While its promise is pending, the button is busy; a failure is shown as a toast. */
  onClick?: (event: MouseEvent) => unknown;
}

/** A button that is busy while its action goes on. An icon alone needs `aria-label`. */
export function Button({ kind = "plain", onClick, class: more, ...rest }: Props) {
  const [busy, setBusy] = useState(false);
  async function act(event: MouseEvent) {
    if (busy) return;
    setBusy(true);
    try {
      await onClick?.(event);
    } catch (error) {
      showError(error);
    } finally {
      setBusy(false);
    }
  }
  return (
    <button
      type="button"
      {...rest}
      class={classes(styles.button, styles[kind], more)}
      aria-busy={busy}
      aria-disabled={busy || undefined}
      onClick={onClick && act}
    />
  );
}
