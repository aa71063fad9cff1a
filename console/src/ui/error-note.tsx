import { InvalidError, ProblemError } from "amplifier-client/errors";
import { Button } from "./button";
import styles from "./states.module.css";

/** Returns an error as a sentence: a problem's `detail`, which says what to do. */
export function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The state of a view that could not be loaded: the problem, the values that do not fit, and a way to try again. */
export function ErrorNote({ error, retry }: { error: unknown; retry?: () => unknown }) {
  return (
    <div class={styles.error} role="alert">
      <p>{errorText(error)}</p>
      {error instanceof InvalidError && error.errors.length > 0 && (
        <ul>
          {error.errors.map((one) => (
            <li key={JSON.stringify(one)}>{Object.values(one).map(String).join(": ")}</li>
          ))}
        </ul>
      )}
      {error instanceof ProblemError && error.requestId && <p class={styles.request}>Request {error.requestId}</p>}
      {retry && <Button onClick={retry}>Try again</Button>}
    </div>
  );
}
