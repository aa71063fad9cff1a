/** A message: who said it, when, through which application, and what it says. */

import { memo } from "preact/compat";
import { useContext, useState } from "preact/hooks";
import { Link } from "wouter-preact";
import { Button } from "../ui/button";
import { classes } from "../ui/classes";
import { Avatar } from "../ui/person";
import { Time } from "../ui/time";
import { Fold, preview, Unfolding } from "./fold";
import { SessionId } from "./media";
import { MessageMenu } from "./message-menu";
import { Json, PartView } from "./part";
import { plainText } from "./plain";
import { isObject, type Part } from "./reading/parts";
import { type Row, rowsOf, type Shown } from "./rows";
import { ToolCall } from "./tool";
import styles from "./message.module.css";

const MOST = 60; // parts that are shown before somebody wants all
const NAMES = { tool: "Tool", function: "Tool", system: "System", developer: "Developer" };
const REMINDER = /^\s*<system-reminder>/;

/** A message of the transcript, or one that is being written: then `seq` is null. */
export function Message({ entry }: { entry: Shown }) {
  const [row] = rowsOf([entry]);
  return row ? <MessageRow row={row} /> : null;
}

/** A message with the results of its calls. */
export const MessageRow = memo(function MessageRow({ row, current }: { row: Row; current?: boolean }) {
  const { entry, reading } = row;
  const role = reading.role ?? "entry";
  return (
    <article class={classes(styles.message, styles[role], current && styles.current)} aria-label={nameOf(row)}>
      <Head row={row} />
      <div class={styles.body}>
        <Unfolding.Provider value={current ?? false}>
          <Body id={String(entry.seq ?? "live")} row={row} />
        </Unfolding.Provider>
      </div>
    </article>
  );
});

/** Returns the speaker of a message, as its heading has it. A user is who added it, whatever name it bears. */
export function speaker({ entry, reading: { role, author } }: Row): string {
  if (role === null) return "Entry";
  if (role === "user") return entry.author_user_id;
  return role === "assistant" ? (author ?? "Assistant") : NAMES[role];
}

function nameOf(row: Row): string {
  return `${speaker(row)}${row.entry.seq === null ? "" : `, message ${row.entry.seq}`}`;
}

function Head({ row }: { row: Row }) {
  const { entry, reading } = row;
  const session = useContext(SessionId);
  const isUser = reading.role === "user";
  return (
    <header class={styles.head}>
      {isUser ? <Avatar userId={entry.author_user_id} /> : <span class={styles.disc} aria-hidden="true" />}
      <h2 class={styles.name}>
        <bdi>{speaker(row)}</bdi>
      </h2>
      {isSidechain(entry) && <span class={styles.label}>Sub-agent</span>}
      <span class={styles.about}>
        {!isUser && <bdi class={styles.by}>{entry.author_user_id}</bdi>}
        {isUser && reading.author && reading.author !== entry.author_user_id && (
          <bdi class={styles.by}>as {reading.author}</bdi>
        )}
        {entry.author_app_id && <bdi class={styles.app}>{entry.author_app_id}</bdi>}
        {entry.created_at && <Time at={entry.created_at} />}
      </span>
      {entry.seq !== null && (
        <>
          <Link
            class={styles.link}
            href={`/sessions/${encodeURIComponent(session)}?seq=${entry.seq}`}
            aria-label={`Link to message ${entry.seq}`}
          >
            #{entry.seq}
          </Link>
          <MessageMenu row={row} />
        </>
      )}
    </header>
  );
}

/** Returns whether an entry of Claude Code belongs to a sub-agent. */
function isSidechain({ message }: Shown): boolean {
  return isObject(message) && message["isSidechain"] === true;
}

function Body({ id, row }: { id: string; row: Row }) {
  const { role, parts } = row.reading;
  if (role === null) return <Json id={id} value={row.entry.message} name={kindOf(row.entry)} />;
  const first = parts[0];
  const isReminder = role === "user" && first?.type === "text" && REMINDER.test(first.text);
  if (role !== "system" && role !== "developer" && !isReminder) return <Parts id={id} row={row} />;
  const summary = <span dir="auto">{preview(plainText(row.reading), 160)}</span>;
  return (
    <Fold id={id} summary={summary}>
      {() => <Parts id={id} row={row} />}
    </Fold>
  );
}

/** Returns the type of an entry that is no part of the conversation. */
function kindOf({ message }: Shown): string {
  const kind = isObject(message) ? message["type"] : undefined;
  return typeof kind === "string" && kind ? preview(kind, 60) : "JSON";
}

function Parts({ id, row }: { id: string; row: Row }) {
  const [all, setAll] = useState(false);
  const parts = row.reading.parts.filter((part) => !row.folded.has(part));
  const shown = all ? parts : parts.slice(0, MOST);
  if (parts.length === 0) return <p class={styles.soft}>No content</p>;
  return (
    <>
      {shown.map((part, index) => (
        <OnePart key={index} id={`${id}/${index}`} row={row} part={part} />
      ))}
      {shown.length < parts.length && <Button onClick={() => setAll(true)}>Show all {parts.length} parts</Button>}
    </>
  );
}

function OnePart({ id, row, part }: { id: string; row: Row; part: Part }) {
  if (part.type === "call") return <ToolCall id={id} call={part} result={row.results.get(part)} />;
  return <PartView id={id} part={part} />;
}
