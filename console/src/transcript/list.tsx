/** The list of messages: only those near the view are in the page. */

import { useVirtualizer } from "@tanstack/react-virtual";
import { useComputed, useSignal, useSignalEffect } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { Button } from "../ui/button";
import { remark } from "./marks";
import { MessageRow } from "./message";
import { indexOf, type Row, rowsOf } from "./rows";
import type { Store } from "./store";
import { weight } from "./window";
import styles from "./list.module.css";

const NEAR = 25; // rows before the end of what is loaded, at which more is loaded
const SETTLING = 8; // frames in which rows on the way to a message are measured
const END = 60; // pixels: who is so near the end stays there when messages come

interface Props {
  store: Store;
  /** Called with the number of the last message in view. */
  onSeen: (seq: number) => void;
  /** What stands before a message. */
  before: (row: Row, former: Row | undefined) => ComponentChildren;
  /** What stands after the last message. */
  children: ComponentChildren;
}

/** Pixels of a row that was not measured yet, about. */
function estimated({ entry, reading }: Row): number {
  const text = reading.parts.reduce((sum, part) => sum + (part.type === "text" ? part.text.length : 0), 0);
  return 90 + Math.min(4000, text / 4) + (text === 0 && weight(entry.message) > 0 ? 30 * reading.parts.length : 0);
}

export function MessageList({ store, onSeen, before, children }: Props) {
  const element = useRef<HTMLDivElement>(null);
  const former = useRef<Row[]>([]);
  const atEnd = useSignal(true);
  const current = useSignal<number | null>(null);
  const fresh = useSignal(0);
  const moving = useSignal(true); // until the list is where it begins
  const rows = useComputed(() => (former.current = rowsOf(store.entries.value, former.current))).value;
  const list = useVirtualizer({
    count: rows.length + 1,
    getScrollElement: () => element.current,
    estimateSize: (index) => (rows[index] ? estimated(rows[index]) : 0),
    getItemKey: (index) => rows[index]?.entry.seq ?? "end",
    overscan: 6,
    anchorTo: "end",
    scrollEndThreshold: END,
    scrollPaddingStart: 80, // a message that is gone to has some of the one before it above
    onChange: (one) => {
      atEnd.value = one.isAtEnd(END);
    },
  });
  const visible = list.getVirtualItems();
  const first = rows[list.range?.startIndex ?? 0]?.entry.seq;
  const last = rows[Math.min(list.range?.endIndex ?? 0, rows.length - 1)]?.entry.seq;
  useFollowing(rows, store, atEnd.value, (away) => (away === 0 ? list.scrollToEnd() : (fresh.value += away)));
  useEffect(() => {
    if (first == null || last == null) return;
    store.view = [first, last];
    onSeen(last);
    const [from, to] = [visible[0]?.index ?? 0, visible.at(-1)?.index ?? 0];
    remark();
    if (moving.value) return;
    if (from < NEAR) store.loadOlder().catch(store.fail);
    if (to > rows.length - NEAR) store.loadNewer().catch(store.fail);
  }, [first, last, rows, moving.value]);
  useSignalEffect(() => {
    const wanted = store.target.value;
    if (wanted)
      void go(wanted.seq)
        .catch(store.fail)
        .finally(() => (moving.value = false));
  });
  /** Goes to a message or to the end. Nothing else is loaded meanwhile: places would shift on the way. */
  async function go(seq: number | "end") {
    moving.value = true;
    if (seq === "end" && store.hasNewer.peek()) await store.loadNewest();
    if (seq !== "end" && indexOf(former.current, seq) < 0) await store.loadAround(seq);
    current.value = seq === "end" ? null : seq;
    for (let frame = 0; frame < SETTLING; frame++) {
      await new Promise(requestAnimationFrame);
      const index = seq === "end" ? -1 : indexOf(former.current, seq);
      if (index >= 0) list.scrollToIndex(index, { align: "start" });
      else if (seq === "end") list.scrollToEnd();
    }
  }
  if (atEnd.value && !store.hasNewer.value && fresh.value) fresh.value = 0;
  const away = fresh.value + store.waiting.value;
  return (
    <div class={styles.frame}>
      <div ref={element} class={styles.scroll} tabIndex={0} role="region" aria-label="Messages">
        <ul class={styles.list} style={{ height: list.getTotalSize() }}>
          {visible.map(({ index, key, start }) => (
            <li
              key={key}
              ref={list.measureElement}
              data-index={index}
              class={styles.item}
              style={{ transform: `translateY(${start}px)` }}
            >
              {rows[index] ? (
                <>
                  {before(rows[index], rows[index - 1])}
                  <MessageRow row={rows[index]} current={isCurrent(rows[index], current.value)} />
                </>
              ) : (
                children
              )}
            </li>
          ))}
        </ul>
      </div>
      {(!atEnd.value || store.hasNewer.value) && (
        <Button class={styles.end} onClick={() => (store.target.value = { seq: "end" })}>
          {away ? `${away} new ${away === 1 ? "message" : "messages"} ↓` : "To the end ↓"}
        </Button>
      )}
    </div>
  );
}

function isCurrent(row: Row, seq: number | null): boolean {
  return seq !== null && (row.entry.seq === seq || row.others.includes(seq));
}

/** Reports messages that came at the end: none away if the list was there, so that it stays, else how many. */
function useFollowing(rows: Row[], store: Store, atEnd: boolean, came: (away: number) => void): void {
  const known = useRef({ last: 0, atEnd: true, open: true });
  useLayoutEffect(() => {
    const former = known.current;
    const newer = rows.filter((row) => (row.entry.seq ?? 0) > former.last).length;
    known.current = { last: rows.at(-1)?.entry.seq ?? 0, atEnd, open: store.hasNewer.peek() };
    if (newer === 0 || former.open) return;
    came(former.atEnd ? 0 : newer);
  }, [rows]);
  known.current.atEnd = atEnd;
}
