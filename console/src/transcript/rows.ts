/** What the list shows: messages, with the results of tools beside their calls. */

import type { Entry } from "./store";
import { type Call, isObject, type Part, type Reading, type Result } from "./reading/parts";
import { read } from "./reading/read";

/** A message as it is shown; without a number while it is being written. */
export type Shown = Pick<Entry, "message" | "author_user_id"> &
  Partial<Pick<Entry, "author_app_id" | "created_at" | "key">> & { seq: number | null };

/** A message, what was understood of it, and the results of its calls, wherever they stand. */
export interface Row {
  entry: Shown;
  reading: Reading;
  results: Map<Call, Result>;
  /** Results that are shown with their calls. */
  folded: Set<Part>;
  /** The numbers of the messages that this row shows besides its own. */
  others: number[];
}

interface Open {
  call: Call;
  row: Row;
}

const readings = new WeakMap<object, Reading>();

/** Returns what is understood of a message; the same for the same object. */
export function readingOf(message: Entry["message"]): Reading {
  let reading = readings.get(message);
  if (!reading) readings.set(message, (reading = isObject(message) ? read(message) : read({ content: message })));
  return reading;
}

/** Returns the rows of consecutive messages. Those of `former` that show the same stay the same objects. */
export function rowsOf(entries: readonly Shown[], former: readonly Row[] = []): Row[] {
  const known = new Map(former.map((row) => [row.entry, row]));
  const open: Open[] = [];
  const rows: Row[] = [];
  for (const entry of entries) {
    const row: Row = { entry, reading: readingOf(entry.message), results: new Map(), folded: new Set(), others: [] };
    for (const part of row.reading.parts) {
      if (part.type === "call") open.push({ call: part, row });
      else if (part.type === "result") answered(take(open, part), part, row);
    }
    const { parts } = row.reading;
    if (parts.length === 0 || parts.some((part) => !row.folded.has(part))) rows.push(row);
  }
  return rows.map((row) => same(row, known.get(row.entry)));
}

function answered(call: Open | undefined, part: Result, row: Row): void {
  if (!call) return;
  call.row.results.set(call.call, part);
  row.folded.add(part);
  if (row !== call.row && row.entry.seq !== null) call.row.others.push(row.entry.seq);
}

/** Takes out the call that a result belongs to: by its id, the last one first; without an id, by the tool's name. */
function take(open: Open[], { call_id, name }: Result): Open | undefined {
  const at =
    call_id !== null
      ? open.findLastIndex(({ call }) => call.id === call_id)
      : open.findIndex(({ call }) => name === null || call.name === name);
  return at < 0 ? undefined : open.splice(at, 1)[0];
}

function same(row: Row, former: Row | undefined): Row {
  if (!former || former.results.size !== row.results.size || former.folded.size !== row.folded.size) return row;
  for (const [call, result] of row.results) if (former.results.get(call) !== result) return row;
  return former;
}

/** Returns the place of the row that shows a message, or -1. */
export function indexOf(rows: readonly Row[], seq: number): number {
  return rows.findIndex((row) => row.entry.seq === seq || row.others.includes(seq));
}
