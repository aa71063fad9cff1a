import { online, reachable } from "../api/reachable";
import styles from "./offline.module.css";

/** Says that there is no network, or no service, until it works again. */
export function Offline() {
  return (
    <div role="status">
      {!reachable.value && (
        <p class={styles.banner}>
          {online.value
            ? "The service does not answer. The page keeps trying."
            : "You are offline. What you see may be old."}
        </p>
      )}
    </div>
  );
}
