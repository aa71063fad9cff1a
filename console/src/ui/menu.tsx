import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { Button } from "./button";
import { classes } from "./classes";
import styles from "./menu.module.css";

interface Props {
  /** The name of the button, for those who see no icon. */
  name: string;
  icon?: ComponentChildren;
  class?: string;
  /** -1 where another key than Tab leads to it. */
  tabIndex?: number;
  /** Buttons and links; each closes the menu. */
  children: ComponentChildren;
}

/** A button that opens a list of actions. Arrows move among them, Escape closes it. */
export function Menu({ name, icon = "⋯", class: more, tabIndex, children }: Props) {
  const id = useId();
  const list = useRef<HTMLDivElement>(null);
  const [open, setOpen] = useState(false); // a closed menu has no items: a list has many menus
  const items = () => [...list.current!.querySelectorAll<HTMLElement>("button:not(:disabled), a")];
  function place() {
    const at = list.current!.previousElementSibling!.getBoundingClientRect();
    const { offsetWidth, offsetHeight, style } = list.current!;
    style.left = `${Math.max(8, Math.min(at.right - offsetWidth, innerWidth - offsetWidth - 8))}px`;
    style.top = `${at.bottom + offsetHeight > innerHeight ? Math.max(8, at.top - offsetHeight) : at.bottom}px`;
  }
  function toggled(event: ToggleEvent) {
    if (event.newState !== "open") return;
    place();
    items()[0]?.focus();
  }
  useEffect(() => {
    if (!open) return undefined;
    addEventListener("resize", place);
    return () => removeEventListener("resize", place);
  }, [open]);
  function move(event: KeyboardEvent) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const all = items();
    all[(all.indexOf(document.activeElement as HTMLElement) + step + all.length) % all.length]?.focus();
  }
  return (
    <>
      <Button kind="quiet" class={more} tabIndex={tabIndex} aria-label={name} aria-haspopup="true" popovertarget={id}>
        {icon}
      </Button>
      <div
        ref={list}
        id={id}
        popover="auto"
        class={classes(styles.menu)}
        onBeforeToggle={(event) => setOpen(event.newState === "open")}
        onToggle={toggled}
        onKeyDown={move}
        onClick={() => list.current?.hidePopover()} // an action may have taken the menu away
      >
        {open && children}
      </div>
    </>
  );
}
