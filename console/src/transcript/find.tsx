/** Find within a session: hits one by one, the newest first, each shown in the transcript. */

import { useEffect, useRef, useState } from "preact/hooks";
import { answer, api, type Schemas } from "../api/client";
import { Button } from "../ui/button";
import { errorText } from "../ui/error-note";
import { markWords, unmark } from "./marks";
import type { Store } from "./store";
import styles from "./find.module.css";

const PAUSE = 200; // milliseconds after the last key
const PAGE = 100; // hits

interface Found {
  q: string;
  seqs: number[];
  next: string | null;
}

/** Asks for hits. One word finds what begins like it, too. */
async function search(session_id: string, q: string, cursor: string | null, signal?: AbortSignal): Promise<Found> {
  const words = /^[\p{L}\p{N}]{2,}$/u.test(q) ? `${q} or ${q}*` : q;
  const query = { q: words, sort: "recent" as const, limit: PAGE, cursor: cursor ?? undefined };
  const request = api.GET("/sessions/{session_id}/search", { params: { path: { session_id }, query }, signal });
  const { items, next }: Schemas["SearchResults"] = await answer(request);
  return { q, seqs: items.flatMap(({ seq }) => seq ?? []), next };
}

export function Find({ store, onClose }: { store: Store; onClose: () => void }) {
  const [q, setQ] = useState("");
  const [found, setFound] = useState<Found | null>(null);
  const [at, setAt] = useState(0);
  const [problem, setProblem] = useState("");
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => (input.current?.focus(), unmark), []);
  useEffect(() => {
    setProblem("");
    if (!q.trim()) return setFound(null);
    const control = new AbortController();
    const timer = setTimeout(() => {
      search(store.id, q.trim(), null, control.signal).then(
        (found) => (setFound(found), show(found, 0)),
        (error: unknown) => control.signal.aborted || setProblem(errorText(error)),
      );
    }, PAUSE);
    return () => (clearTimeout(timer), control.abort());
  }, [q]);
  function show(found: Found, at: number) {
    setAt(at);
    const seq = found.seqs[at];
    if (seq === undefined) return unmark();
    store.target.value = { seq };
    markWords(found.q);
  }
  async function move(step: number) {
    if (!found?.seqs.length) return;
    let all = found;
    if (at + step >= found.seqs.length && found.next) {
      const more = await search(store.id, found.q, found.next);
      all = { ...more, seqs: [...found.seqs, ...more.seqs] };
      setFound(all);
    }
    show(all, (at + step + all.seqs.length) % all.seqs.length);
  }
  const count =
    found && (found.seqs.length ? `${at + 1} of ${found.seqs.length}${found.next ? "+" : ""}` : "Not found");
  return (
    <search class={styles.find}>
      <form
        onSubmit={(event) => (event.preventDefault(), void move(1))}
        onKeyDown={(event) => event.key === "Escape" && onClose()}
      >
        <input
          ref={input}
          type="search"
          aria-label="Find in this session"
          placeholder="Find in this session"
          value={q}
          dir="auto"
          onInput={(event) => setQ(event.currentTarget.value)}
        />
        <span role="status" class={styles.count}>
          {problem || count}
        </span>
        <Button kind="quiet" aria-label="Older hit" onClick={() => move(1)}>
          ↑
        </Button>
        <Button kind="quiet" aria-label="Newer hit" onClick={() => move(-1)}>
          ↓
        </Button>
        <Button kind="quiet" aria-label="Close find" onClick={onClose}>
          ✕
        </Button>
      </form>
    </search>
  );
}
