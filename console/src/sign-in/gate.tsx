import { type ComponentChildren, Fragment } from "preact";
import { useEffect, useState } from "preact/hooks";
import { refused } from "../api/credentials";
import { Dialog } from "../ui/dialog";
import { ErrorNote } from "../ui/error-note";
import { Loading } from "../ui/loading";
import { usePageTitle } from "../ui/page-title";
import { SignInPage } from "./page";
import { again, person, phase, start } from "./sign-in";
import { Panel } from "./panel";

/** Shows the pages to those who are signed in. When that ends, they stay as they are, below the question to sign in again. */
export function Gate({ children }: { children: ComponentChildren }) {
  useEffect(() => void start(), []);
  if (phase.value === "starting") return <Loading what="Signing in" />;
  if (phase.value === "handed-over") return <HandedOver />;
  if (phase.value === "signed-out") return <SignInPage />;
  return (
    <>
      <Fragment key={person.value}>{children}</Fragment>
      {refused.value && <Again />}
    </>
  );
}

function Again() {
  const [error, setError] = useState<unknown>();
  // the button is not busy meanwhile: a window that somebody closed never answers
  const signIn = () => void again().catch(setError);
  return (
    <Dialog title="Sign in again" onClose={() => (refused.value = false)}>
      <p>The sign-in has ended. This page keeps what you typed.</p>
      {error !== undefined && <ErrorNote error={error} />}
      <Panel signIn={signIn} />
    </Dialog>
  );
}

function HandedOver() {
  usePageTitle("Signed in");
  return (
    <>
      <h1>You are signed in</h1>
      <p>Close this window, and go on where you were.</p>
    </>
  );
}
