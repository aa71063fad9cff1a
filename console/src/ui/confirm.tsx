import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { Button } from "./button";
import { Dialog } from "./dialog";
import { ErrorNote } from "./error-note";
import styles from "./dialog.module.css";

interface Props {
  title: string;
  /** The name of the button that does it. */
  verb: string;
  danger?: boolean;
  /** Does it. The dialog closes when it is done; a failure is shown and leaves it open. */
  onConfirm: () => unknown;
  onClose: () => void;
  /** Says what will happen. */
  children: ComponentChildren;
}

/** Asks before something is done that has no undo. */
export function ConfirmDialog({ title, verb, danger, onConfirm, onClose, children }: Props) {
  const [error, setError] = useState<unknown>();
  async function confirm() {
    try {
      await onConfirm();
      onClose();
    } catch (error) {
      setError(error);
    }
  }
  return (
    <Dialog title={title} onClose={onClose}>
      <div class={styles.text}>{children}</div>
      {error !== undefined && <ErrorNote error={error} />}
      <div class={styles.actions}>
        <Button onClick={onClose}>Cancel</Button>
        <Button kind={danger ? "danger" : "primary"} onClick={confirm}>
          {verb}
        </Button>
      </div>
    </Dialog>
  );
}
