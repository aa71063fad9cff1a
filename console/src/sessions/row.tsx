import { Link } from "wouter-preact";
import { Chip } from "../ui/chip";
import { classes } from "../ui/classes";
import { Avatar } from "../ui/person";
import { Time } from "../ui/time";
import { SessionActions } from "./actions";
import type { Session } from "./calls";
import styles from "./list.module.css";
import type { Row } from "./rows";
import { titleOf } from "./titles";

const MOST_UNREAD = 100; // the service counts no further
const MOST_TAGS = 3;
const AT_WORK = { running: "Agent at work", queued: "Waiting for the agent" };

interface Props {
  row: Row;
  /** The time that the list is sorted by. */
  time: string;
  /** Whether Tab reaches this row. */
  current: boolean;
  onChanged: (session: Session) => void;
}

/** A session in the list. Its title is a link that covers the row. */
export function SessionRow({ row, time, current, onChanged }: Props) {
  const tags = Object.entries(row.tags);
  const unread = row.unread >= MOST_UNREAD ? `${MOST_UNREAD} or more` : String(row.unread);
  return (
    <article class={classes(styles.row, row.unread > 0 && styles.unread)}>
      <div class={styles.words}>
        <div class={styles.first}>
          <Link
            href={`/sessions/${encodeURIComponent(row.session_id)}`}
            class={styles.title}
            dir="auto"
            tabIndex={current ? 0 : -1}
          >
            {titleOf(row)}
          </Link>
          {row.unread > 0 && (
            <span class={styles.badge}>
              {unread}
              <span class="visually-hidden"> unread</span>
            </span>
          )}
          {row.run && <span class={styles.run}>{AT_WORK[row.run]}</span>}
          {row.isSubAgent && <Chip>sub-agent</Chip>}
          {row.status !== "active" && <Chip>{row.status}</Chip>}
        </div>
        <div class={styles.second}>
          <p class={styles.said} dir="auto">
            {row.author && <span class={styles.author}>{row.author}: </span>}
            {row.said ?? (row.author ? "…" : "No messages yet")}
          </p>
          {tags.slice(0, MOST_TAGS).map(([key, value]) => (
            <Chip key={key}>
              {key}: {value}
            </Chip>
          ))}
          {tags.length > MOST_TAGS && <span class={styles.more}>+{tags.length - MOST_TAGS} tags</span>}
        </div>
      </div>
      <div class={styles.people}>
        {row.people.map((id) => (
          <Avatar key={id} userId={id} />
        ))}
        {row.peopleCount > row.people.length && (
          <span class={styles.more}>
            +{row.peopleCount - row.people.length}
            <span class="visually-hidden"> people</span>
          </span>
        )}
      </div>
      <span class={styles.time}>
        <Time at={time} />
      </span>
      <div class={styles.menu}>
        <SessionActions session={row} onChanged={onChanged} onDeleted={() => {}} tabIndex={current ? 0 : -1} />
      </div>
    </article>
  );
}
