import { useEffect, useState } from "preact/hooks";
import { Link, useLocation } from "wouter-preact";
import { me } from "../shell/me";
import { Button } from "../ui/button";
import { Empty } from "../ui/empty";
import { ErrorNote } from "../ui/error-note";
import { usePageTitle } from "../ui/page-title";
import { notify } from "../ui/toast";
import { accept } from "./calls";
import { invitationToken } from "./invitation-token";
import styles from "./people.module.css";

/** Accepts the invitation of the link that was opened. Nothing happens before the button is pressed. */
export default function Page() {
  usePageTitle("Invitation");
  const token = useToken();
  const [error, setError] = useState<unknown>();
  const [, go] = useLocation();
  async function join() {
    try {
      const { session_id, role, is_new } = await accept(token);
      invitationToken.forget();
      go(`/sessions/${encodeURIComponent(session_id)}`, { replace: true });
      notify(is_new ? `You joined as ${role}` : `You take part already, as ${role}`);
    } catch (error) {
      setError(error);
    }
  }
  if (!token)
    return (
      <Empty title="There is no invitation in this address">
        <h1 class="visually-hidden">Invitation</h1>
        <p>Open the whole link that you were sent, or ask for a new one.</p>
        <Link href="/">Show sessions</Link>
      </Empty>
    );
  return (
    <div class={styles.card}>
      <h1>You are invited to a session</h1>
      <p>If you join, you can read everything in it, and all participants see your user id.</p>
      {me.value && (
        <p>
          You are signed in as <strong dir="auto">{me.value.user_id}</strong>.
        </p>
      )}
      {error !== undefined && <ErrorNote error={error} />}
      <Button kind="primary" onClick={join}>
        Join the session
      </Button>
    </div>
  );
}

/** Returns the token of the link, also of another one that is opened in the same window. */
function useToken(): string {
  const [token, setToken] = useState(invitationToken.take);
  useEffect(() => {
    const read = () => setToken(invitationToken.take());
    addEventListener("hashchange", read);
    return () => removeEventListener("hashchange", read);
  }, []);
  return token;
}
