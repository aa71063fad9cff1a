import { useState } from "preact/hooks";
import { Button } from "../ui/button";
import { ErrorNote } from "../ui/error-note";
import { Field } from "../ui/field";
import { paste, wanted } from "./sign-in";
import { claimsOf } from "./token";

const UNTIL = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

/** Signs in with a token, and the application's key where the service wants one. Neither is stored. */
export function TokenForm() {
  const [token, setToken] = useState("");
  const [key, setKey] = useState("");
  const [error, setError] = useState<unknown>();
  const [busy, setBusy] = useState(false);
  async function submit(event: Event) {
    event.preventDefault();
    setBusy(true);
    setError(undefined);
    await paste(bare(token), key.trim()).catch(setError);
    setBusy(false);
  }
  return (
    <form onSubmit={submit} autocomplete="off">
      {wanted.value?.api_key_header && (
        <Field label="Application key">
          <input type="password" required value={key} onInput={(event) => setKey(event.currentTarget.value)} />
        </Field>
      )}
      <Field label="Token" hint={said(bare(token))}>
        <input type="password" required value={token} onInput={(event) => setToken(event.currentTarget.value)} />
      </Field>
      {error !== undefined && <ErrorNote error={error} />}
      <Button type="submit" kind="primary" disabled={busy}>
        Sign in
      </Button>
    </form>
  );
}

/** Returns a token without what is often copied with it. */
function bare(text: string): string {
  return text.trim().replace(/^(Authorization:\s*)?Bearer\s+/i, "");
}

/** Returns what a token says about itself. */
function said(token: string): string {
  if (!token) return "It stays in the memory of this page: after a reload, paste it again.";
  const claims = claimsOf(token);
  if (!claims) return "This is not a token (JWT).";
  const { user, until } = claims;
  const time = until ? `until ${UNTIL.format(until)}` : "without an end, which the service refuses";
  return `${user ? `For ${user}` : "Without a user"}, ${time}.`;
}
