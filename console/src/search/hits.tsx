/** The results: sessions, then messages, as the options of the field above them. */

import type { ComponentChildren } from "preact";
import { memo } from "preact/compat";
import { useEffect, useRef } from "preact/hooks";
import { Link } from "wouter-preact";
import { classes } from "../ui/classes";
import { ErrorNote } from "../ui/error-note";
import { Headline } from "../ui/html";
import { Avatar } from "../ui/person";
import { Time } from "../ui/time";
import styles from "./hits.module.css";
import { found, more, moreSessions, pageFailure, waiting, type FoundSession, type Hit } from "./results";
import { chosen, items, optionId, pathOf, type Item } from "./selection";

export const LIST = "results";

/** All results. `onOpen` is called before one is opened. */
export function Hits({ onOpen }: { onOpen: () => void }) {
  const all = items.value;
  const first = all.findIndex((item) => item.kind === "message");
  const option = (item: Item, place: number) => <Option key={keyOf(item)} item={item} place={place} onOpen={onOpen} />;
  const begin = first < 0 ? all.length : first;
  return (
    <>
      <div id={LIST} role="listbox" aria-label="Results" aria-busy={waiting.value} class={styles.list}>
        {begin > 0 && <Group name="Sessions">{all.slice(0, begin).map(option)}</Group>}
        {first >= 0 && (
          <Group name="Messages">{all.slice(begin).map((item, place) => option(item, place + begin))}</Group>
        )}
      </div>
      {pageFailure.value === undefined ? (
        <End key={found.value.next} />
      ) : (
        <ErrorNote error={pageFailure.value} retry={more} />
      )}
    </>
  );
}

function keyOf(item: Item): string {
  if (item.kind === "session") return item.session.session_id;
  return item.kind === "message" ? `${item.hit.session_id}/${item.hit.seq}` : "more";
}

function Group({ name, children }: { name: string; children: ComponentChildren }) {
  return (
    <div role="group" aria-label={name}>
      <div class={styles.heading} aria-hidden="true">
        {name}
      </div>
      {children}
    </div>
  );
}

/** Loads the next page when it comes into view. */
function End() {
  const element = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const root = document.getElementById("main"); // which scrolls
    const watch = new IntersectionObserver(([entry]) => entry!.isIntersecting && void more(), {
      root,
      rootMargin: "600px",
    });
    watch.observe(element.current!);
    return () => watch.disconnect();
  }, []);
  return <div ref={element} class={styles.end} />;
}

interface OptionProps {
  item: Item;
  place: number;
  onOpen: () => void;
}

function Option({ item, place, onOpen }: OptionProps) {
  const isChosen = chosen.value === place;
  const attributes = {
    id: optionId(place),
    role: "option",
    "aria-selected": isChosen,
    tabIndex: -1,
    class: classes(styles.option, isChosen && styles.chosen),
  } as const;
  if (item.kind === "more") {
    return (
      <div {...attributes} onClick={() => void moreSessions()}>
        <span class={styles.more}>{`Show more of ${found.value.totalSessions.toLocaleString()} sessions`}</span>
      </div>
    );
  }
  return (
    <Link {...attributes} href={pathOf(item)!} onClick={onOpen}>
      {item.kind === "session" ? <SessionRow session={item.session} /> : <HitRow hit={item.hit} />}
    </Link>
  );
}

const SessionRow = memo(function SessionRow({ session }: { session: FoundSession }) {
  const { title, hits, headline, updated_at } = session;
  return (
    <>
      <span class={styles.head}>
        <Title title={title} />
        <span class={styles.count}>{hits === 1 ? "1 hit" : `${hits} hits`}</span>
        <Time at={updated_at} />
      </span>
      <span class={styles.text}>
        <Headline html={headline ?? ""} />
      </span>
    </>
  );
});

const HitRow = memo(function HitRow({ hit }: { hit: Hit }) {
  const { title, role, seq, author_user_id, created_at, headline } = hit;
  return (
    <>
      <span class={styles.head}>
        <Title title={title} />
        <span class={styles.role}>{seq === null ? "title or tags" : (role ?? "other")}</span>
        {author_user_id !== null && (
          <span class={styles.author}>
            <span aria-hidden="true">
              <Avatar userId={author_user_id} />
            </span>
            <bdi>{author_user_id}</bdi>
          </span>
        )}
        <Time at={created_at} />
      </span>
      <span class={styles.text} dir="auto">
        <Headline html={headline} />
      </span>
    </>
  );
});

function Title({ title }: { title: string | null }) {
  return title ? <bdi class={styles.title}>{title}</bdi> : <span class={styles.untitled}>Untitled session</span>;
}
