/** The whole transcript as a file or on the clipboard, read in pages. */

import { useRef, useState } from "preact/hooks";
import { answer, api, type Schemas } from "../api/client";
import { titleOf } from "../sessions/titles";
import { Button } from "../ui/button";
import { copy } from "../ui/copy-button";
import { Dialog } from "../ui/dialog";
import { ErrorNote } from "../ui/error-note";
import { save } from "./media";
import { speaker } from "./message";
import { markdownOf } from "./plain";
import { rowsOf } from "./rows";
import type { Entry, Session } from "./store";
import styles from "./export.module.css";

const PAGE = 500; // messages

type Format = "Markdown" | "JSON";

/** Reads all messages and calls `take` with each page. A transcript that is being written ends where it ended at first. */
async function pages(session: Session, signal: AbortSignal, take: (entries: Entry[]) => void): Promise<void> {
  for (let after: number | null = 0; after !== null;) {
    const params = { path: { session_id: session.session_id }, query: { after, limit: PAGE } };
    const request = api.GET("/sessions/{session_id}/transcript", { params, signal });
    const page: Schemas["Transcript"] = (await answer(request)) as Schemas["Transcript"];
    take(page.messages);
    after = page.next;
  }
}

/** Returns the file of a session, in pieces so that no text is larger than a page. */
async function file(
  session: Session,
  format: Format,
  signal: AbortSignal,
  progress: (count: number) => void,
): Promise<Blob> {
  const pieces: Blob[] = [];
  let all: Entry[] = [];
  let count = 0;
  await pages(session, signal, (entries) => {
    count += entries.length;
    progress(count);
    if (format === "Markdown") return void (all = all.concat(entries)); // results may be pages after their calls
    const texts = entries.map((entry) => JSON.stringify(entry));
    if (texts.length) pieces.push(new Blob([pieces.length ? ",\n" : "", texts.join(",\n")]));
  });
  if (format === "JSON") {
    const head = JSON.stringify({ session }).slice(0, -1);
    return new Blob([`${head},"messages":[\n`, ...pieces, "\n]}\n"], { type: "application/json" });
  }
  const rows = rowsOf(all).map((row) => `${markdownOf(row, speaker(row))}\n\n`);
  return new Blob([`# ${titleOf(session).replace(/\s+/g, " ")}\n\n`, ...rows], { type: "text/markdown" });
}

export function ExportDialog({ session, onClose }: { session: Session; onClose: () => void }) {
  const [count, setCount] = useState<number | null>(null);
  const [error, setError] = useState<unknown>();
  const control = useRef<AbortController | null>(null);
  const close = () => (control.current?.abort(), onClose());
  async function made(format: Format, use: (blob: Blob) => unknown) {
    control.current = new AbortController();
    setError(undefined);
    setCount(0);
    try {
      await use(await file(session, format, control.current.signal, setCount));
    } catch (error) {
      if (!control.current.signal.aborted) setError(error);
    } finally {
      setCount(null);
    }
  }
  const name = titleOf(session);
  const total = Math.max(session.messages_total, count ?? 0);
  return (
    <Dialog title="Export the transcript" onClose={close}>
      <p>All {session.messages_total} messages, with authors, times and the results of tools.</p>
      {error !== undefined && <ErrorNote error={error} />}
      {count !== null && (
        <p role="status">
          <progress value={count} max={total || 1} aria-label="Progress" /> {count} of {total}
        </p>
      )}
      <div class={styles.actions}>
        <Button onClick={() => made("Markdown", async (blob) => copy(await blob.text(), "transcript"))}>
          Copy as Markdown
        </Button>
        <Button onClick={() => made("Markdown", (blob) => save(blob, `${name}.md`))}>Download Markdown</Button>
        <Button onClick={() => made("JSON", (blob) => save(blob, `${name}.json`))}>Download JSON</Button>
      </div>
    </Dialog>
  );
}
