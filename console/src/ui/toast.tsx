import { signal, useSignalEffect } from "@preact/signals";
import { useRef } from "preact/hooks";
import { Button } from "./button";
import { errorText } from "./error-note";
import styles from "./toast.module.css";

interface Toast {
  id: number;
  text: string;
  kind: "note" | "error";
  action?: { name: string; act: () => unknown };
}

const LIMIT = 10_000; // milliseconds that a note stays; errors stay until they are dismissed
const toasts = signal<Toast[]>([]);
let last = 0;

/** Shows a note for ten seconds, with an action such as Undo if one is given. Returns the function that ends it. */
export function notify(text: string, action?: Toast["action"]): () => void {
  return add({ id: ++last, text, kind: "note", action }, LIMIT);
}

/** Shows an error until somebody dismisses it. */
export function showError(error: unknown): void {
  add({ id: ++last, text: errorText(error), kind: "error" });
}

function add(toast: Toast, limit?: number): () => void {
  const end = () => (toasts.value = toasts.value.filter((one) => one.id !== toast.id));
  toasts.value = [...toasts.value.slice(-4), toast];
  if (limit) setTimeout(end, limit);
  return end;
}

/** The notes at the lower edge of the page, also above a dialog. Screen readers read each when it comes. */
export function Toasts() {
  const element = useRef<HTMLDivElement>(null);
  useSignalEffect(() => {
    if (!toasts.value.length && element.current!.matches(":popover-open")) return;
    element.current!.hidePopover();
    element.current!.showPopover(); // what is shown last lies uppermost
  });
  return (
    <div ref={element} class={styles.toasts} popover="manual" aria-live="polite" role="status">
      {toasts.value.map(({ id, text, kind, action }) => {
        const end = () => (toasts.value = toasts.value.filter((one) => one.id !== id));
        return (
          <div key={id} class={styles[kind]}>
            <span>{text}</span>
            {action && <Button onClick={() => (end(), action.act())}>{action.name}</Button>}
            <Button kind="quiet" aria-label="Dismiss" onClick={end}>
              ✕
            </Button>
          </div>
        );
      })}
    </div>
  );
}
