import { ErrorNote } from "../ui/error-note";
import { usePageTitle } from "../ui/page-title";
import { Panel } from "./panel";
import styles from "./page.module.css";
import { failure, start, wanted } from "./sign-in";

/** The page for those who are not signed in, at whatever address they came to. */
export function SignInPage() {
  usePageTitle("Sign in");
  return (
    <div class={styles.page}>
      <h1>Sign in</h1>
      {failure.value !== undefined && <ErrorNote error={failure.value} retry={wanted.value ? undefined : start} />}
      {wanted.value && <Panel />}
    </div>
  );
}
