import { defaultRangeExtractor, type Range, useVirtualizer } from "@tanstack/react-virtual";
import type { ComponentChildren } from "preact";
import { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import { Button } from "./button";
import styles from "./virtual-list.module.css";

interface Props<T> {
  items: readonly T[];
  /** Pixels that an item takes before it is measured. */
  height: number;
  /** Returns what identifies an item; a function that stays the same. */
  keyOf: (item: T) => string;
  /** The name of the list, for those who do not see it. */
  name: string;
  /** Called when the end is near: the next page is wanted. */
  onEnd?: () => void;
  /**
   * The first link or button of an item opens it. `current` says whether it is the one that Tab reaches: arrows, Home and
   * End move among them.
   */
  children: (item: T, index: number, current: boolean) => ComponentChildren;
}

const NEAR = 15; // items before the end

/** A list of which only the visible part is in the page. It scrolls itself and fills its container. */
export function VirtualList<T>({ items, height, keyOf, name, onEnd, children }: Props<T>) {
  const element = useRef<HTMLDivElement>(null);
  const [current, setCurrent] = useState<string>();
  const wanted = useRef<string | null>(null); // the item that gets the focus when it is in the page
  const place = useMemo(() => items.findIndex((item) => keyOf(item) === current), [items, current]);
  const list = useVirtualizer({
    count: items.length,
    getScrollElement: () => element.current,
    estimateSize: () => height,
    getItemKey: useCallback((index: number) => keyOf(items[index]!), [items, keyOf]),
    overscan: 8,
    // what is added above moves nothing, unless the beginning is in view
    anchorTo: (element.current?.scrollTop ?? 0) > 0 ? "end" : "start",
    // the item with the focus stays, so that the focus does
    rangeExtractor: (range: Range) => {
      const shown = defaultRangeExtractor(range);
      return place < 0 || place >= items.length || shown.includes(place)
        ? shown
        : [...shown, place].sort((a, b) => a - b);
    },
  });
  const visible = list.getVirtualItems();
  const { startIndex = 0, endIndex = -1 } = list.range ?? {};
  const reached = place >= 0 ? place : startIndex;
  const opener = (index: number) =>
    element.current?.querySelector<HTMLElement>(`[data-index="${index}"] :is(a[href], button)`);
  const hadFocus = element.current?.contains(document.activeElement) ?? false;

  useEffect(() => {
    if (endIndex >= items.length - NEAR) onEnd?.();
  }, [endIndex, items.length]);
  useLayoutEffect(() => {
    const lost = hadFocus && document.activeElement === document.body; // its item was moved
    if (wanted.current === null && !lost) return;
    const found = opener(place);
    found?.focus({ preventScroll: lost });
    if (found) wanted.current = null;
  });

  function moveTo(index: number) {
    const next = Math.max(0, Math.min(index, items.length - 1));
    if (!items.length) return;
    wanted.current = keyOf(items[next]!);
    setCurrent(wanted.current);
    list.scrollToIndex(next);
  }
  function onKeyDown(event: KeyboardEvent) {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    if ((event.target as Element).closest("[popover], dialog, input, select, textarea")) return;
    const within = element.current !== event.target;
    const { ArrowDown, ArrowUp, Home, End }: Record<string, number | undefined> = {
      ArrowDown: within ? reached + 1 : reached,
      ArrowUp: reached - 1,
      Home: 0,
      End: items.length - 1,
    };
    const next = { ArrowDown, ArrowUp, Home, End }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    moveTo(next);
  }
  function onFocusIn(event: FocusEvent) {
    const index = (event.target as Element).closest<HTMLElement>("[data-index]")?.dataset["index"];
    const item = index === undefined ? undefined : items[Number(index)];
    if (item !== undefined) setCurrent(keyOf(item));
  }
  return (
    <div class={styles.outer}>
      <div
        ref={element}
        class={styles.frame}
        tabIndex={-1}
        role="region"
        aria-label={name}
        onKeyDown={onKeyDown}
        onFocusIn={onFocusIn}
      >
        <ul class={styles.list} style={{ height: list.getTotalSize() }}>
          {visible.map(({ index, key, start }) => (
            <li
              key={key}
              ref={list.measureElement}
              data-index={index}
              class={styles.item}
              aria-setsize={items.length}
              aria-posinset={index + 1}
              style={{ transform: `translateY(${start}px)` }}
            >
              {children(items[index]!, index, index === reached)}
            </li>
          ))}
        </ul>
      </div>
      {startIndex > NEAR && (
        <div class={styles.top}>
          <Button onClick={() => moveTo(0)}>Jump to the top</Button>
        </div>
      )}
    </div>
  );
}
