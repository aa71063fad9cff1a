import { useEffect, useRef, useState } from "preact/hooks";
import { Message } from "../transcript/message";
import { Button } from "../ui/button";
import { classes } from "../ui/classes";
import { notify } from "../ui/toast";
import type { Answer, Part, Said, Used } from "./answer";
import { useCalm } from "./calm";
import type { Live } from "./live";
import { SeenBy } from "./presence";
import styles from "./live-answer.module.css";

const SPOKEN = 1000; // characters of an answer that screen readers are told

/** What comes after the last message: those on their way, the answer of the agent word by word, and a run that failed. */
export function LiveAnswer({ live }: { live: Live }) {
  const { pending } = live.outbox;
  const { run, failure, completed } = live.agent;
  return (
    <div class={styles.after} ref={useEndInView(live)}>
      {pending.value.map(({ key, text }) => (
        <div key={key} class={styles.pending}>
          <Message entry={unsaved("user", text || "Files", live.readers.me.value)} />
          <p class={styles.status}>Sending…</p>
        </div>
      ))}
      {run.value && <Growing live={live} />}
      {failure.value && !run.value && <Failed live={live} runId={failure.value.runId} detail={failure.value.detail} />}
      <SeenBy live={live} />
      <p class="visually-hidden" role="status">
        {completed.value && `The agent: ${completed.value.slice(0, SPOKEN)}`}
      </p>
    </div>
  );
}

/** Moves the read marker to the last message whenever the end of the transcript is in view. */
function useEndInView(live: Live) {
  const element = useRef<HTMLDivElement>(null);
  const [inView, setInView] = useState(false);
  const { entries, hasNewer } = live.store;
  const last = hasNewer.value ? undefined : entries.value.at(-1)?.seq;
  useEffect(() => {
    const observer = new IntersectionObserver(([entry]) => setInView(entry!.isIntersecting));
    observer.observe(element.current!);
    return () => observer.disconnect();
  }, []);
  useEffect(() => {
    if (inView && last) live.seen(last);
  }, [inView, last]);
  return element;
}

/** The answer in progress. */
function Growing({ live }: { live: Live }) {
  const answer = useCalm(live.agent.answer, isShorter);
  const run = live.agent.run.value;
  const parts = answer?.parts ?? [];
  const said = parts.filter((part): part is Said => part.kind !== "tool");
  return (
    <section class={styles.answer} aria-label="Answer in progress" aria-busy="true">
      {said.length > 0 && <Message entry={unsaved("assistant", blocks(said, answer!.late), run?.userId ?? "")} />}
      {parts.map((part) => part.kind === "tool" && <Call key={part.id} call={part} />)}
      <p class={styles.status}>
        <span class={styles.dots} aria-hidden="true" />
        {run?.cancelling ? "The agent is stopping…" : "The agent is at work…"}
      </p>
    </section>
  );
}

const STATES = { written: "Calls", running: "Runs", done: "Has run", failed: "Could not run" };

/** A call of a tool that is not finished. */
function Call({ call: { name, state, input } }: { call: Used }) {
  return (
    <p class={classes(styles.call, state === "failed" && styles.failed)}>
      {STATES[state]} <b>{name}</b> <code>{input}</code>
    </p>
  );
}

/** A run that failed: why, and the message once more. */
function Failed({ live, runId, detail }: { live: Live; runId: string; detail: string }) {
  const { agent, outbox, rights } = live;
  async function again() {
    const text = await agent.messageOf(runId);
    agent.failure.value = null;
    await outbox.send({ text, to: "agent" }).catch((error: unknown) => {
      agent.failure.value = { runId, detail };
      throw error;
    });
    notify("Sent again");
  }
  return (
    <div class={styles.error} role="alert">
      <p>The agent could not answer: {detail}</p>
      {rights.value.send && <Button onClick={again}>Send again</Button>}{" "}
      <Button kind="quiet" onClick={() => (agent.failure.value = null)}>
        Dismiss
      </Button>
    </div>
  );
}

/** Returns a message as an entry without a number. */
function unsaved(role: string, content: unknown, author_user_id: string) {
  return { seq: null, message: { role, content }, author_user_id, author_app_id: "", created_at: "" };
}

function blocks(said: Said[], late: boolean): unknown[] {
  return said.map(({ kind, text }, index) => {
    const shown = late && index === 0 ? `… ${text}` : text;
    return kind === "thinking" ? { type: "thinking", thinking: shown } : { type: "text", text: shown };
  });
}

/** Returns whether a part that is shown is gone: it is in the transcript, and must not be seen twice. */
function isShorter(shown: Answer | null, next: Answer | null): boolean {
  const ids = new Set(next?.parts.map((part: Part) => part.id));
  return !!shown && shown.parts.some((part) => !ids.has(part.id));
}
