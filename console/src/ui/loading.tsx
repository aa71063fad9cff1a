import styles from "./states.module.css";

/** The state of a view whose data is on its way. */
export function Loading({ what = "Loading" }: { what?: string }) {
  return (
    <p class={styles.loading} role="status">
      <span class={styles.spinner} aria-hidden="true" /> {what}…
    </p>
  );
}
