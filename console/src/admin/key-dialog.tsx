import { Button } from "../ui/button";
import { CopyButton } from "../ui/copy-button";
import { Dialog } from "../ui/dialog";
import styles from "./admin.module.css";

/** Shows a new key, which is stored nowhere in clear. */
export function KeyDialog({ apiKey, onClose }: { apiKey: string; onClose: () => void }) {
  return (
    <Dialog title="The new key" onClose={onClose}>
      <p>Copy it now: it is shown this once. Requests send it as X-API-Key.</p>
      <code class={styles.key}>{apiKey}</code>
      <div class={styles.buttons}>
        <CopyButton text={apiKey} what="key" />
        <Button kind="primary" onClick={onClose}>
          I have copied it
        </Button>
      </div>
    </Dialog>
  );
}
