import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { Button } from "../ui/button";
import { Dialog } from "../ui/dialog";
import { ErrorNote } from "../ui/error-note";
import styles from "./sessions.module.css";

interface Props {
  title: string;
  /** The verb on the button. */
  verb: string;
  /** Called by the button and by Enter. The dialog closes when its promise is fulfilled; a failure is shown in it. */
  onSubmit: () => Promise<unknown>;
  onClose: () => void;
  children: ComponentChildren;
}

/** A dialog with a form. */
export function FormDialog({ title, verb, onSubmit, onClose, children }: Props) {
  const [state, setState] = useState<{ busy: boolean; error?: unknown }>({ busy: false });
  async function submit(event: Event) {
    event.preventDefault();
    if (state.busy) return;
    setState({ busy: true });
    try {
      await onSubmit();
      onClose();
    } catch (error) {
      setState({ busy: false, error });
    }
  }
  return (
    <Dialog title={title} onClose={onClose}>
      <form onSubmit={submit}>
        {children}
        {state.error !== undefined && <ErrorNote error={state.error} />}
        <div class={styles.buttons}>
          <Button kind="quiet" onClick={onClose}>
            Cancel
          </Button>
          <Button kind="primary" type="submit" aria-busy={state.busy}>
            {verb}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
