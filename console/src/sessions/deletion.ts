/**
 * Sessions are deleted after a time in which the deletion can be undone.
 *
 * The service deletes at once and for good: what people asked to be deleted must be gone when it answers, so it has no
 * call that brings a session back. The page waits instead, and sends the request when the time is over or the page is left.
 */

import { signal } from "@preact/signals";
import { NotFoundError } from "amplifier-client/errors";
import { notify, showError } from "../ui/toast";
import { deleteSession, type SessionLike } from "./calls";
import { titleOf } from "./titles";

const TIME = 10_000; // milliseconds, as long as a note stays

/** The sessions that are deleted, or about to be: lists leave them out. */
export const deleted = signal<ReadonlySet<string>>(new Set());

const waiting = new Map<string, number>();

/** Deletes a session in ten seconds, and says so with a way to undo it. */
export function deleteLater(session: SessionLike): void {
  const id = session.session_id;
  deleted.value = new Set([...deleted.value, id]);
  waiting.set(
    id,
    window.setTimeout(() => send(id), TIME),
  );
  notify(`Deleted “${titleOf(session)}”`, { name: "Undo", act: () => undo(id) });
}

function undo(id: string): void {
  if (!waiting.has(id)) return;
  clearTimeout(waiting.get(id));
  waiting.delete(id);
  show(id);
}

function show(id: string): void {
  deleted.value = new Set([...deleted.value].filter((one) => one !== id));
}

async function send(id: string): Promise<void> {
  clearTimeout(waiting.get(id));
  waiting.delete(id);
  try {
    await deleteSession(id);
  } catch (error) {
    if (error instanceof NotFoundError) return;
    show(id);
    showError(error);
  }
}

addEventListener("pagehide", () => [...waiting.keys()].forEach((id) => void send(id)));
