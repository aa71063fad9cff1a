import { useEffect, useRef } from "preact/hooks";
import { useLocation } from "wouter-preact";
import styles from "./box.module.css";
import { useShortcut } from "../shell/shortcuts";
import { FIELD, focusSearch } from "./field";
import { LIST } from "./hits";
import { moreSessions } from "./results";
import { choose, chosen, items, optionId, pathOf } from "./selection";

interface Props {
  q: string;
  onInput: (q: string) => void;
  /** Called for Enter when nothing is chosen: people want the results now. */
  onEnter: () => void;
  /** Called before a result is opened. */
  onOpen: () => void;
}

/** The field of the page: up and down choose a result, Enter opens it, Escape empties the field. */
export function Box({ q, onInput, onEnter, onOpen }: Props) {
  const [, navigate] = useLocation();
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => {
    // not where the focus opens a keyboard over the results
    if (!q || matchMedia("(pointer: fine)").matches) field.current!.focus({ preventScroll: true });
  }, []);
  useShortcut("/", "Search", () => focusSearch(navigate));
  const keys: Record<string, () => void> = {
    ArrowDown: () => choose(1),
    ArrowUp: () => choose(-1),
    Escape: () => onInput(""),
    Enter: () => {
      const item = items.value[chosen.value];
      if (!item) return onEnter();
      if (item.kind === "more") return void moreSessions();
      onOpen();
      navigate(pathOf(item)!);
    },
  };
  function press(event: KeyboardEvent) {
    if (event.isComposing || event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return;
    event.preventDefault();
    keys[event.key]!();
  }
  const isOpen = items.value.length > 0;
  return (
    <div role="search" class={styles.box}>
      <input
        {...FIELD}
        ref={field}
        role="combobox"
        aria-autocomplete="list"
        aria-haspopup="listbox"
        aria-expanded={isOpen}
        aria-controls={isOpen ? LIST : undefined}
        aria-activedescendant={isOpen && chosen.value >= 0 ? optionId(chosen.value) : undefined}
        placeholder="Search all sessions"
        value={q}
        onInput={(event) => onInput(event.currentTarget.value)}
        onKeyDown={press}
      />
    </div>
  );
}
