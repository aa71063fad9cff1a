import { Button } from "../ui/button";
import type { Config } from "./calls";
import { Diff } from "./diff";
import type { Draft } from "./draft";
import styles from "./configs.module.css";

/** Says that somebody saved the config meanwhile, shows what differs, and lets decide which one stays. */
export function Conflict({ draft, theirs }: { draft: Draft; theirs: Config }) {
  const mine = draft.content();
  return (
    <section class={styles.conflict} aria-labelledby="conflict">
      <h2 id="conflict">It was changed meanwhile</h2>
      <p role="alert">
        Version {theirs.version} was saved after you began. Yours is not saved. It differs from version {theirs.version}{" "}
        as follows:
      </p>
      {mine && <Diff former={theirs} present={mine} name={`From version ${theirs.version} to yours`} />}
      <div class={styles.buttons}>
        <Button onClick={() => (draft.theirs.value = null)}>Change mine first</Button>
        <Button onClick={() => draft.reset(theirs)}>Take version {theirs.version}</Button>
        <Button kind="primary" onClick={() => draft.overwrite()}>
          Save mine over it
        </Button>
      </div>
    </section>
  );
}
