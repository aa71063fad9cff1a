/** The page of a session: who takes part, what was said, and what happens now. */

import { useEffect, useMemo, useState } from "preact/hooks";
import { Link, useSearch } from "wouter-preact";
import { Composer } from "../live/composer";
import { Live } from "../live/live";
import { LiveAnswer } from "../live/live-answer";
import { Presence, Unread } from "../live/presence";
import { PeopleButton } from "../people/button";
import { SessionActions } from "../sessions/actions";
import { titleOf } from "../sessions/titles";
import { Button } from "../ui/button";
import { Chip } from "../ui/chip";
import { Empty } from "../ui/empty";
import { ErrorNote } from "../ui/error-note";
import { LinkDialog } from "../ui/external-link";
import { Loading } from "../ui/loading";
import { usePageTitle } from "../ui/page-title";
import { ExportDialog } from "./export";
import { Find } from "./find";
import { Unfolded } from "./fold";
import { MessageList } from "./list";
import { SessionId } from "./media";
import { Opened } from "./message-menu";
import type { Row } from "./rows";
import { type Session, Store } from "./store";
import { SubAgents } from "./sub-agents";
import styles from "./page.module.css";

export default function Page({ id }: { id: string }) {
  const store = useMemo(() => new Store(id), [id]);
  const live = useMemo(() => new Live(store), [store]);
  const asked = Number(new URLSearchParams(useSearch()).get("seq")) || undefined;
  useEffect(() => {
    void store.open(asked).then(() => store.ready.value && live.start());
    return () => (live.close(), store.close());
  }, [store]);
  useEffect(() => {
    if (asked && store.ready.value) store.target.value = { seq: asked };
  }, [asked]);
  const session = store.session.value;
  usePageTitle(session ? titleOf(session) : "Session");
  if (!session || !store.ready.value) {
    if (!store.error.value) return <Loading what="Loading the session" />;
    return (
      <>
        <h1 class="visually-hidden">Session</h1>
        <ErrorNote error={store.error.value} retry={() => store.open(asked)} />
        <Link href="/">Show sessions</Link>
      </>
    );
  }
  return <Loaded session={session} store={store} live={live} />;
}

function Loaded({ session, store, live }: { session: Session; store: Store; live: Live }) {
  const unfolded = useMemo(() => new Set<string>(), [store]);
  const [open, setOpen] = useState<"find" | "export">();
  const close = () => setOpen(undefined);
  const isEmpty = store.entries.value.length === 0 && !store.hasOlder.value;
  return (
    <Opened.Provider value={store}>
      <SessionId.Provider value={store.id}>
        <Unfolded.Provider value={unfolded}>
          <div class={styles.page}>
            <header class={styles.header}>
              <h1 class={styles.title} dir="auto">
                {titleOf(session)}
              </h1>
              {session.parent_session_id && (
                <Link href={`/sessions/${encodeURIComponent(session.parent_session_id)}`}>
                  Sub-agent of another session
                </Link>
              )}
              {session.status !== "active" && <Chip>{session.status}</Chip>}
              <div class={styles.tools}>
                <Presence live={live} />
                <SubAgents key={store.id} sessionId={store.id} />
                <PeopleButton session={session} />
                <Button aria-expanded={open === "find"} onClick={() => setOpen(open === "find" ? undefined : "find")}>
                  Find
                </Button>
                <Button aria-haspopup="dialog" onClick={() => setOpen("export")}>
                  Export
                </Button>
                <SessionActions session={session} onChanged={(changed) => (store.session.value = changed)} />
              </div>
            </header>
            {open === "find" && <Find store={store} onClose={close} />}
            {store.error.value != null && <ErrorNote error={store.error.value} retry={store.retry} />}
            {isEmpty && <Empty title="Nothing was said here yet" />}
            <MessageList store={store} onSeen={live.seen} before={(row) => isFirstUnread(live, row) && <Unread />}>
              <LiveAnswer live={live} />
            </MessageList>
            <Composer live={live} />
          </div>
          {open === "export" && <ExportDialog session={session} onClose={close} />}
          <LinkDialog />
        </Unfolded.Provider>
      </SessionId.Provider>
    </Opened.Provider>
  );
}

function isFirstUnread(live: Live, { entry, others }: Row): boolean {
  const seq = live.firstUnread.value;
  return seq !== null && (entry.seq === seq || others.includes(seq));
}
