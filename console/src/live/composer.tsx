import { randomId } from "amplifier-client/http";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { Button } from "../ui/button";
import { ErrorNote } from "../ui/error-note";
import { Approvals } from "./approvals";
import { ConnectionNote } from "./connection-note";
import { kept } from "./draft";
import type { Live } from "./live";
import type { Sending } from "./outbox";
import { Typing } from "./presence";
import { Attach, Files } from "./files";
import { Queue } from "./queue";
import { Uploads } from "./uploads";
import styles from "./composer.module.css";

/** What stands below the transcript: what the agent asks, what waits, who types, and where the next message is written. */
export function Composer({ live }: { live: Live }) {
  const session = live.store.session.value;
  return (
    <div class={styles.composer}>
      <Approvals live={live} />
      <Queue live={live} />
      <Typing live={live} />
      <ConnectionNote live={live} />
      {live.ended.value ? null : !live.rights.value.send ? (
        <p class={styles.note}>You may read this session. Its owners can let you write.</p>
      ) : session?.status !== "active" ? (
        <p class={styles.note}>This session is {session?.status ?? "loading"}. Resume it to go on.</p>
      ) : (
        <Writing live={live} hasAgent={session.config_id !== null} />
      )}
    </div>
  );
}

const PHONE = matchMedia("(pointer: coarse)"); // Enter breaks the line there, as people expect

function Writing({ live, hasAgent }: { live: Live; hasAgent: boolean }) {
  const id = live.store.id;
  const text = useMemo(() => kept(`draft:${id}`, ""), [id]);
  const chosen = useMemo(() => kept(`to:${id}`, "agent"), [id]);
  const uploads = useMemo(() => new Uploads(`/sessions/${encodeURIComponent(id)}`), [id]);
  const to = hasAgent && chosen.value === "agent" ? "agent" : "people";
  const [failed, setFailed] = useState<{ sending: Sending; error: unknown } | null>(null);
  const area = useRef<HTMLTextAreaElement>(null);
  const busy = to === "agent" && live.agent.run.value !== null;
  const isEmpty = !text.value.trim() && !uploads.files.value.some((one) => one.attachment !== null);
  useEffect(() => grow(area.current!), [text.value]);

  async function send(interrupt = false) {
    const said = text.value.trim();
    if (isEmpty || uploads.busy) return;
    const files = uploads.blocks();
    const taken = uploads.take();
    const sending: Sending = { text: said, files, to, interrupt };
    const same = failed && JSON.stringify({ ...failed.sending, key: undefined }) === JSON.stringify(sending);
    sending.key = (same && failed.sending.key) || randomId();
    text.value = "";
    setFailed(null);
    live.stopped();
    area.current?.focus();
    try {
      await live.outbox.send(sending);
    } catch (error) {
      setFailed({ sending, error });
      uploads.files.value = [...taken, ...uploads.files.peek()];
      text.value = [said, text.peek()].filter(Boolean).join("\n\n"); // nothing that was written is lost
    }
  }
  function press(event: KeyboardEvent) {
    if (event.key !== "Enter" || event.isComposing || event.shiftKey || event.altKey) return;
    if (PHONE.matches && !event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    void send();
  }
  return (
    <form
      class={styles.form}
      onSubmit={(event) => (event.preventDefault(), void send())}
      onDragOver={(event) => event.dataTransfer?.types.includes("Files") && event.preventDefault()}
      onDrop={(event) =>
        event.dataTransfer?.files.length && (event.preventDefault(), uploads.add(event.dataTransfer.files))
      }
      onPaste={(event) => {
        const { files, types } = event.clipboardData!;
        if (!files.length || types.includes("text/plain")) return; // a text may come with a picture of itself
        event.preventDefault();
        uploads.add(files);
      }}
    >
      {failed && <ErrorNote error={failed.error} />}
      <textarea
        ref={area}
        class={styles.text}
        rows={1}
        dir="auto"
        aria-label="Message"
        placeholder={to === "agent" ? "Write to the agent" : "Write to the people of this session"}
        title="Enter sends, Shift and Enter break the line"
        maxLength={1_000_000}
        value={text.value}
        onInput={({ currentTarget }) => ((text.value = currentTarget.value), live.typed())}
        onKeyDown={press}
      />
      <Files uploads={uploads} />
      <div class={styles.actions}>
        <div class={styles.to}>
          <Attach uploads={uploads} />
          {hasAgent && (
            <select
              aria-label="Send to"
              value={to}
              onChange={({ currentTarget }) => (chosen.value = currentTarget.value)}
            >
              <option value="agent">To the agent</option>
              <option value="people">To people only</option>
            </select>
          )}
        </div>
        {busy && !isEmpty && (
          <Button title="Stops the agent, and sends this message at once" onClick={() => send(true)}>
            Interrupt and send
          </Button>
        )}
        <Stop live={live} />
        <Button
          kind="primary"
          type="submit"
          disabled={isEmpty || uploads.busy}
          title={busy ? "Waits for its turn" : undefined}
        >
          {failed ? "Send again" : busy ? "Send next" : "Send"}
        </Button>
      </div>
    </form>
  );
}

/** Stops the run that goes on. */
function Stop({ live }: { live: Live }) {
  const { run } = live.agent;
  if (!run.value || !live.rights.value.cancel) return null;
  const { runId, cancelling } = run.value;
  return (
    <Button kind="danger" aria-label="Stop the agent" disabled={cancelling} onClick={() => live.agent.cancel(runId)}>
      Stop
    </Button>
  );
}

/** Makes the text area as high as its text, where browsers do not do so by themselves. */
function grow(area: HTMLTextAreaElement): void {
  if (CSS.supports("field-sizing", "content")) return;
  area.style.height = "auto";
  area.style.height = `${area.scrollHeight + 2}px`;
}
