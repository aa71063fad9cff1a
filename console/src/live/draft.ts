/** What is written and not sent yet, by session, for as long as the tab is open. */

import { type Signal, signal } from "@preact/signals";

/** Returns a text that outlives leaving the page, but not the tab. */
export function kept(name: string, initial: string): Signal<string> {
  const text = signal(sessionStorage.getItem(name) ?? initial);
  text.subscribe((value) => {
    if (value === initial) sessionStorage.removeItem(name);
    else sessionStorage.setItem(name, value);
  });
  return text;
}
