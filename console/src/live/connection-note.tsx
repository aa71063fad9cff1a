import { Link } from "wouter-preact";
import { Button } from "../ui/button";
import type { Live } from "./live";
import styles from "./composer.module.css";

/** Says when the page does not receive what happens, and what to do. */
export function ConnectionNote({ live }: { live: Live }) {
  const { ended, connection } = live;
  return (
    <div role="status">
      {ended.value ? (
        <p class={styles.lost}>
          {ended.value} <Link href="/">Show sessions</Link> <Button onClick={live.reconnect}>Reconnect</Button>
        </p>
      ) : (
        connection.value === "lost" && (
          <p class={styles.lost}>
            The connection is lost. What happens meanwhile follows when it is back.{" "}
            <Button onClick={live.reconnect}>Reconnect</Button>
          </p>
        )
      )}
    </div>
  );
}
