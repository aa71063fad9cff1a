import { Button } from "../ui/button";
import { redirect, wanted } from "./sign-in";
import { TokenForm } from "./token-form";

/** The ways to sign in: at the identity provider where there is one, and with a token. */
export function Panel({ signIn = () => redirect() }: { signIn?: () => unknown }) {
  const provider = wanted.value?.oidc;
  if (!provider) return <TokenForm />;
  return (
    <>
      <p>
        <Button kind="primary" onClick={signIn}>
          Sign in with {new URL(provider.issuer).host}
        </Button>
      </p>
      <details>
        <summary>Use a token instead</summary>
        <TokenForm />
      </details>
    </>
  );
}
