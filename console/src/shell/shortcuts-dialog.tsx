import { Fragment } from "preact";
import { Dialog } from "../ui/dialog";
import { enabled, setEnabled, shortcuts } from "./shortcuts";
import styles from "./shortcuts-dialog.module.css";

/** The list of the shortcuts that work on this page, and the switch that turns them off. */
export function ShortcutsDialog({ onClose }: { onClose: () => void }) {
  return (
    <Dialog title="Keyboard shortcuts" onClose={onClose}>
      <dl class={styles.list}>
        {shortcuts.value.map(({ keys, text }) => (
          <Fragment key={keys}>
            <dt>
              {keys.split(" ").map((key) => (
                <kbd key={key}>{key}</kbd>
              ))}
            </dt>
            <dd>{text}</dd>
          </Fragment>
        ))}
      </dl>
      <label class={styles.switch}>
        <input type="checkbox" checked={enabled.value} onChange={(event) => setEnabled(event.currentTarget.checked)} />
        Use shortcuts of single keys
      </label>
    </Dialog>
  );
}
