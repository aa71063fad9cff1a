import { Button } from "../ui/button";
import { Avatar } from "../ui/person";
import { textOf } from "./agent";
import type { Live } from "./live";
import styles from "./composer.module.css";

/** The messages that wait for the agent, in their order. */
export function Queue({ live }: { live: Live }) {
  const { queue } = live.agent;
  const count = queue.value.length;
  if (!count) return null;
  return (
    <details class={styles.queue} open={count < 4}>
      <summary>{count === 1 ? "One message waits for the agent" : `${count} messages wait for the agent`}</summary>
      <ol aria-label="Messages that wait">
        {queue.value.map((run) => (
          <li key={run.run_id}>
            <Avatar userId={run.user_id} />
            <span dir="auto">{textOf(run)}</span>
            {live.rights.value.cancel && (
              <Button
                aria-label="Take back"
                title="Take back"
                kind="quiet"
                onClick={() => live.agent.cancel(run.run_id)}
              >
                ✕
              </Button>
            )}
          </li>
        ))}
      </ol>
    </details>
  );
}
