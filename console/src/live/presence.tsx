import { Avatar } from "../ui/person";
import type { Live } from "./live";
import styles from "./presence.module.css";

const SHOWN = 5; // avatars; names of all are in the list's title

/** The people who follow the session now, besides the caller. */
export function Presence({ live }: { live: Live }) {
  const { present, count, me } = live.readers;
  const others = present.value.filter((one) => one !== me.value);
  const more = Math.max(count.value - present.value.length, 0) + Math.max(others.length - SHOWN, 0);
  if (live.connection.value === "ended" || !others.length) return null;
  return (
    <ul class={styles.present} aria-label="Following now" title={`Following now: ${others.join(", ")}`}>
      <li class={styles.here} aria-hidden="true">
        Here
      </li>
      {others.slice(0, SHOWN).map((one) => (
        <li key={one}>
          <Avatar userId={one} />
        </li>
      ))}
      {more > 0 && <li>and {more} more</li>}
    </ul>
  );
}

/** Says who types now, also to screen readers. */
export function Typing({ live }: { live: Live }) {
  const [first, second, ...more] = live.readers.typing.value;
  const names = more.length
    ? `${first}, ${second} and ${more.length} more`
    : [first, second].filter(Boolean).join(" and ");
  return (
    <p class={styles.typing} aria-live="polite" dir="auto">
      {first && `${names} ${second ? "are" : "is"} typing…`}
    </p>
  );
}

/** The people who have read the last message, besides its author. */
export function SeenBy({ live }: { live: Live }) {
  const last = live.store.entries.value.at(-1);
  if (!last || live.store.hasNewer.value) return null;
  const { read, me } = live.readers;
  const readers = [...read.value].filter(([one, seq]) => seq >= last.seq && one !== me.value && one !== authorOf(last));
  if (!readers.length) return null;
  const names = readers.map(([one]) => one);
  return (
    <ul class={styles.seen} aria-label="Seen by" title={`Seen by ${names.join(", ")}`}>
      <li aria-hidden="true">Seen by</li>
      {names.slice(0, SHOWN).map((one) => (
        <li key={one}>
          <Avatar userId={one} />
        </li>
      ))}
      {names.length > SHOWN && <li>and {names.length - SHOWN} more</li>}
    </ul>
  );
}

/** Returns who has certainly read a message: its author, unless the agent wrote it. */
function authorOf({ author_user_id, message }: { author_user_id: string; message: Record<string, unknown> }): string {
  return message["role"] === "user" ? author_user_id : "";
}

/** The line before the first message that the caller has not read. */
export function Unread() {
  return (
    <p class={styles.unread}>
      <span>New</span>
    </p>
  );
}
