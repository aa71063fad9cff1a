/** Tells views of people that those of a session changed. */

import { signal } from "@preact/signals";

/** The number of changes heard of, by session. Views load anew when theirs moves. */
export const changesOf = signal<Readonly<Record<string, number>>>({});

/** Says that participants or invitations of a session changed: an event came, or events may have been missed. */
export function peopleChanged(sessionId: string): void {
  changesOf.value = { ...changesOf.value, [sessionId]: (changesOf.value[sessionId] ?? 0) + 1 };
}
