/** Keyboard shortcuts: pages register theirs while they are shown, and the list of `?` shows them all. */

import { signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";

export interface Shortcut {
  /** The keys one after the other, as `g s`; each is a value of `KeyboardEvent.key`. */
  keys: string;
  /** Says what it does: `Show sessions`. */
  text: string;
  act: () => unknown;
}

const KEY = "shortcuts";
const LIMIT = 1500; // milliseconds between two keys
const TYPING = "input:not([type=checkbox], [type=radio], [type=button]), textarea, select, [contenteditable=true]";

export const shortcuts = signal<readonly Shortcut[]>([]);

/** Whether shortcuts of single keys work: people who speak to their computer turn them off. */
export const enabled = signal(localStorage.getItem(KEY) !== "off");

export function setEnabled(on: boolean): void {
  enabled.value = on;
  if (on) localStorage.removeItem(KEY);
  else localStorage.setItem(KEY, "off");
}

/** Registers a shortcut while the component is shown. It works where nobody types and no dialog is open. */
export function useShortcut(keys: string, text: string, act: () => unknown): void {
  const current = useRef(act);
  current.current = act;
  useEffect(() => {
    const shortcut = { keys, text, act: () => current.current() };
    shortcuts.value = [...shortcuts.peek(), shortcut];
    return () => void (shortcuts.value = shortcuts.peek().filter((one) => one !== shortcut));
  }, [keys, text]);
}

let before = "";
let at = 0;

/** Finds the shortcut that a key completes, the one of the page before the one of the frame. */
function completed(key: string, now: number): Shortcut | undefined {
  const begun = now - at < LIMIT && before ? `${before} ${key}` : key;
  for (const keys of new Set([begun, key])) {
    const shortcut = shortcuts.value.findLast((one) => one.keys === keys);
    const begins = shortcuts.value.some((one) => one.keys.startsWith(`${keys} `));
    [before, at] = begins && !shortcut ? [keys, now] : ["", 0];
    if (shortcut || begins) return shortcut;
  }
  return undefined;
}

function pressed(event: KeyboardEvent): void {
  const target = event.target as Element | null;
  if (!enabled.value || event.defaultPrevented || event.isComposing || event.repeat) return;
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (target?.closest?.(TYPING) || document.querySelector("dialog:modal, [popover=auto]:popover-open")) return;
  const shortcut = completed(event.key, event.timeStamp);
  if (!shortcut) return;
  event.preventDefault();
  shortcut.act();
}

document.addEventListener("keydown", pressed);
