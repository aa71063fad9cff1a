/** Sessions as the list shows them: a few hundred bytes each, because there may be many thousands. */

import type { Schemas } from "../api/client";
import { tagsOf } from "./calls";

type Summary = Schemas["SessionSummary"];

export interface Row extends Pick<Summary, "session_id" | "title" | "status" | "role" | "config_id" | "unread"> {
  tags: Record<string, string>;
  created_at: string;
  updated_at: string;
  /** The first participants, and the number of all. */
  people: string[];
  peopleCount: number;
  author: string | null;
  said: string | null;
  run: "running" | "queued" | null;
  isSubAgent: boolean;
}

const MOST_PEOPLE = 4;
const MARKS = /\*\*|`+|^#+ /gmu; // of Markdown, which a single line does not show

/** Returns the row for a session of the service's list. */
export function rowOf(session: Summary): Row {
  const { session_id, title, status, role, config_id, unread, created_at, updated_at, preview, run } = session;
  return {
    ...{ session_id, title, status, role, config_id, unread, created_at, updated_at, tags: tagsOf(session) },
    people: (session.participants ?? []).slice(0, MOST_PEOPLE).map((one) => one.user_id),
    peopleCount: session.participant_count ?? 0,
    author: preview ? (preview.role === "user" ? preview.author_user_id : (preview.role ?? null)) : null,
    said: preview?.text?.replace(MARKS, "").replace(/\s+/gu, " ").trim() || null,
    run: run?.status ?? null,
    isSubAgent: session.parent_session_id !== null,
  };
}

export interface Order {
  sort: "updated_at" | "created_at";
  order: "desc" | "asc";
}

/** Returns a number below zero if `a` stands before `b`: by time, then by id, as the service sorts. */
export function compare(a: Row, b: Row, { sort, order }: Order): number {
  const sign = order === "asc" ? 1 : -1;
  return sign * (ordered(exact(a[sort]), exact(b[sort])) || ordered(a.session_id, b.session_id));
}

function ordered(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Returns a time with six digits of its second, so that times compare as texts. The service leaves zeros out. */
function exact(time: string): string {
  return time.includes(".") ? time : time.replace("Z", ".000000Z");
}

/** Returns the later of two times. */
export function later(a: string | null, b: string): string {
  return a !== null && exact(a) > exact(b) ? a : b;
}

/**
 * Returns sorted rows in which `fresh` are in place of those of the same ids, and `gone` are not.
 *
 * With `hasMore`, what belongs after the last row is left out: a later page has it.
 */
export function merged(rows: readonly Row[], fresh: Row[], gone: Set<string>, by: Order, hasMore: boolean): Row[] {
  const replaced = new Set([...gone, ...fresh.map((row) => row.session_id)]);
  const result = rows.filter((row) => !replaced.has(row.session_id));
  const last = rows.at(-1);
  for (const row of fresh) {
    if (gone.has(row.session_id) || (hasMore && last && compare(row, last, by) > 0)) continue;
    result.splice(placeOf(result, row, by), 0, row);
  }
  return result;
}

function placeOf(rows: Row[], row: Row, by: Order): number {
  let low = 0;
  for (let high = rows.length; low < high;) {
    const middle = (low + high) >> 1;
    if (compare(rows[middle]!, row, by) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
