/** The result that the keyboard has chosen, while the focus stays in the field. */

import { computed, effect, signal } from "@preact/signals";
import { hitPath } from "./address";
import { found, more, type FoundSession, type Hit } from "./results";

export type Item = { kind: "session"; session: FoundSession } | { kind: "more" } | { kind: "message"; hit: Hit };

/** All results in their order on the page. */
export const items = computed<Item[]>(() => [
  ...found.value.sessions.map((session) => ({ kind: "session", session }) as const),
  ...(found.value.nextSessions ? [{ kind: "more" } as const] : []),
  ...found.value.hits.map((hit) => ({ kind: "message", hit }) as const),
]);

/** The place of the chosen one, -1 for none. */
export const chosen = signal(-1);

const shown = computed(() => found.value.wanted);
effect(() => {
  if (shown.value !== undefined) chosen.value = -1; // other results
});

export const optionId = (place: number): string => `result-${place}`;

/** Returns where an item leads, null for one that leads nowhere. */
export function pathOf(item: Item): string | null {
  if (item.kind === "session") return hitPath(item.session.session_id, null);
  return item.kind === "message" ? hitPath(item.hit.session_id, item.hit.seq) : null;
}

/** Chooses the next item or the one before. At the end the next page is loaded. */
export function choose(step: 1 | -1): void {
  const last = items.value.length - 1;
  chosen.value = Math.max(-1, Math.min(chosen.value + step, last));
  if (chosen.value === last) void more();
  document.getElementById(optionId(chosen.value))?.scrollIntoView({ block: "nearest" });
}
