import { useEffect, useState } from "preact/hooks";
import { Link, useLocation } from "wouter-preact";
import { Button } from "../ui/button";
import { ErrorNote, errorText } from "../ui/error-note";
import { Loading } from "../ui/loading";
import { usePageTitle } from "../ui/page-title";
import { useResource } from "../ui/resource";
import { notify, showError } from "../ui/toast";
import { createSession } from "./calls";
import { Conflict } from "./conflict";
import { DeleteDialog } from "./delete-dialog";
import { type Draft, draftOf } from "./draft";
import { Editor } from "./editor";
import { ConfigForm } from "./form";
import { Versions } from "./versions";
import styles from "./configs.module.css";

/** One config: its form and its JSON, its versions, and what is done with it. */
export default function Page({ id }: { id: string }) {
  const { data: draft, error, reload } = useResource((signal) => draftOf(id, signal), [id]);
  usePageTitle(draft?.saved.value.name ?? "Config");
  if (error !== undefined)
    return (
      <>
        <h1>Config</h1>
        <ErrorNote error={error} retry={reload} />
        <Link href="/configs">Show configs</Link>
      </>
    );
  return draft ? <Loaded draft={draft} /> : <Loading />;
}

function Loaded({ draft }: { draft: Draft }) {
  const [deletes, setDeletes] = useState(false);
  const [, go] = useLocation();
  const { config_id, name, encrypted } = draft.saved.value;
  const theirs = draft.theirs.value;
  const dirty = draft.dirty.value;
  useLeaveWarning(dirty);
  async function tryIt() {
    if (dirty && !(await draft.save())) return;
    const { session_id } = await createSession(config_id, `Try ${draft.saved.value.name}`);
    go(`/sessions/${encodeURIComponent(session_id)}`);
  }
  return (
    <>
      <header class={styles.head}>
        <h1 dir="auto">{name}</h1>
        <Button onClick={tryIt}>{dirty ? "Save and try" : "Try in a new session"}</Button>
        <Button kind="danger" onClick={() => setDeletes(true)}>
          Delete
        </Button>
      </header>
      {theirs && <Conflict draft={draft} theirs={theirs} />}
      <div class={styles.columns}>
        <ConfigForm draft={draft} />
        <Editor draft={draft} />
      </div>
      <SaveBar draft={draft} />
      <p class={styles.soft}>
        Only you see this config.{" "}
        {encrypted && "Its secrets are stored encrypted and stay as they are unless replaced. "}
        Everybody in a session uses its agent.
      </p>
      <Versions draft={draft} />
      {deletes && <DeleteDialog config={draft.saved.value} onClose={() => setDeletes(false)} />}
    </>
  );
}

function SaveBar({ draft }: { draft: Draft }) {
  const error = draft.error.value;
  const dirty = draft.dirty.value;
  const isFaulty = "fault" in draft.parsed.value;
  async function save() {
    if (draft.dirty.value && (await draft.save())) notify(`Saved as version ${draft.saved.value.version}`);
  }
  useShortcut(save);
  if (!dirty && error === undefined) return null;
  return (
    <div class={styles.bar} role="group" aria-label="Unsaved changes">
      {error !== undefined && <p role="alert">{errorText(error)}</p>}
      <span class={styles.text}>{isFaulty ? "Mend the JSON to save your changes" : "You have unsaved changes"}</span>
      <Button onClick={() => draft.reset(draft.saved.value)}>Discard</Button>
      <Button kind="primary" onClick={save} disabled={isFaulty} aria-keyshortcuts="Control+S">
        Save
      </Button>
    </div>
  );
}

/** Saves by Ctrl+S, also where there is nothing to save: the browser's own dialog helps nobody here. */
function useShortcut(save: () => Promise<void>): void {
  useEffect(() => {
    function press(event: KeyboardEvent) {
      if (event.key !== "s" || !(event.ctrlKey || event.metaKey)) return;
      event.preventDefault();
      save().catch(showError);
    }
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  }, []);
}

/** Asks before the window is closed with changes that are not saved. Other pages of the console keep them. */
function useLeaveWarning(dirty: boolean): void {
  useEffect(() => {
    if (!dirty) return;
    const ask = (event: Event) => event.preventDefault();
    addEventListener("beforeunload", ask);
    return () => removeEventListener("beforeunload", ask);
  }, [dirty]);
}
