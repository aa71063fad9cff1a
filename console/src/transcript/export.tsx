/** The whole transcript as a file or on the clipboard, in a format of the service. */

import { useRef, useState } from "preact/hooks";
import { download } from "../api/client";
import { titleOf } from "../sessions/titles";
import { Button } from "../ui/button";
import { copy } from "../ui/copy-button";
import { Dialog } from "../ui/dialog";
import { ErrorNote } from "../ui/error-note";
import { Field } from "../ui/field";
import { save } from "./media";
import type { Session } from "./store";
import styles from "./export.module.css";

const FORMATS = {
  markdown: "Markdown, to read",
  html: "HTML, to read without this page",
  jsonl: "JSON lines, with authors and times",
  openai: "JSON for the API of OpenAI",
  anthropic: "JSON for the API of Anthropic",
  "claude-code": "Session of Claude Code",
  codex: "Session of Codex",
  amplifier: "Session of the Amplifier CLI",
};

type Format = keyof typeof FORMATS;

/** Returns the name that the service gives a file. A service of another origin may keep it to itself. */
function nameOf(response: Response, session: Session, format: Format): string {
  const named = /filename\*=UTF-8''([^;]+)/.exec(response.headers.get("Content-Disposition") ?? "");
  return named?.[1] ? decodeURIComponent(named[1]) : `${titleOf(session)}.${format}`;
}

export function ExportDialog({ session, onClose }: { session: Session; onClose: () => void }) {
  const [format, setFormat] = useState<Format>("markdown");
  const [isGoing, setGoing] = useState(false);
  const [error, setError] = useState<unknown>();
  const control = useRef<AbortController | null>(null);
  const close = () => (control.current?.abort(), onClose());
  async function made(format: Format, use: (response: Response) => Promise<unknown>) {
    control.current?.abort();
    const { signal } = (control.current = new AbortController());
    setError(undefined);
    setGoing(true);
    try {
      const path = `/sessions/${encodeURIComponent(session.session_id)}/export?format=${format}`;
      await use(await download(path, signal));
    } catch (error) {
      if (!signal.aborted) setError(error);
    } finally {
      if (!signal.aborted) setGoing(false);
    }
  }
  return (
    <Dialog title="Export the transcript" onClose={close}>
      <p>All {session.messages_total} messages.</p>
      <Field label="Format">
        <select value={format} onChange={(event) => setFormat(event.currentTarget.value as Format)}>
          {Object.entries(FORMATS).map(([name, text]) => (
            <option key={name} value={name}>
              {text}
            </option>
          ))}
        </select>
      </Field>
      {error !== undefined && <ErrorNote error={error} />}
      {isGoing && <p role="status">The service writes the file</p>}
      <div class={styles.actions}>
        <Button onClick={() => made(format, async (file) => save(await file.blob(), nameOf(file, session, format)))}>
          Download
        </Button>
        <Button onClick={() => made("markdown", async (file) => copy(await file.text(), "transcript"))}>
          Copy as Markdown
        </Button>
      </div>
    </Dialog>
  );
}
