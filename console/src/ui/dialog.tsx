import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";
import styles from "./dialog.module.css";

interface Props {
  title: string;
  /** Called when it is closed: by Escape, by a click beside it, or by its button. */
  onClose: () => void;
  children: ComponentChildren;
}

/** A modal dialog. It is open while it is rendered; the focus returns where it was. */
export function Dialog({ title, onClose, children }: Props) {
  const element = useRef<HTMLDialogElement>(null);
  const heading = useId();
  useEffect(() => {
    const dialog = element.current!;
    const former = document.activeElement as HTMLElement | null;
    dialog.showModal();
    return () => {
      dialog.close();
      former?.focus();
    };
  }, []);
  return (
    <dialog
      ref={element}
      class={styles.dialog}
      aria-labelledby={heading}
      onCancel={(event) => (event.preventDefault(), onClose())}
      onClick={(event) => event.target === element.current && onClose()}
    >
      <div class={styles.body}>
        <div class={styles.header}>
          <h2 id={heading}>{title}</h2>
          <button type="button" class={styles.close} aria-label="Close" onClick={onClose}>
            ✕
          </button>
        </div>
        {children}
      </div>
    </dialog>
  );
}
