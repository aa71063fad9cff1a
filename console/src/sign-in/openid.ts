/** Sign-in with OpenID Connect: authorization code with PKCE. Tokens stay in this module's memory. */

import { AmplifierError } from "amplifier-client/errors";
import { ErrorResponse, OidcClient, type SigninResponse, WebStorageStateStore } from "oidc-client-ts";
import type { Schemas } from "../api/client";
import { refused } from "../api/credentials";
import { BASE } from "../base";
import { AGAIN } from "./again";

/** The provider wants to ask the person something, so it did not sign in silently. */
export class Interaction extends Error {
  constructor(readonly to: string) {
    super("Sign in");
  }
}

const INTERACTION = ["login_required", "interaction_required", "consent_required", "account_selection_required"];
const AHEAD = 60; // seconds by which a token is renewed ahead of its end, or a quarter of its life

let held: SigninResponse | undefined;

export class OpenId {
  readonly #client: OidcClient;

  constructor(provider: Schemas["OpenIdConnect"]) {
    this.#client = clientOf(provider);
  }

  /** Leaves for the provider. `to` is where the person comes back to. */
  async redirect(to: string, prompt?: "none"): Promise<void> {
    const { url } = await this.#client.createSigninRequest({ state: { to }, prompt });
    location.replace(url);
    await new Promise(() => undefined); // the page is about to go
  }

  /** Takes the provider's answer out of the address. Throws Interaction when it has to ask the person. */
  async returned(): Promise<{ to: string; token: () => Promise<string> }> {
    try {
      const response = await this.#client.processSigninResponse(location.href);
      return { to: pathOf(response.userState), token: this.#keep(response) };
    } catch (error) {
      if (!(error instanceof ErrorResponse)) throw error;
      if (INTERACTION.includes(error.error ?? "")) throw new Interaction(pathOf(error.state));
      throw new Error(error.error_description || error.error || "The identity provider refused to sign in");
    }
  }

  /** Signs in through another window, which the caller opened in answer to a click. */
  async again(opened: Window | null): Promise<() => Promise<string>> {
    if (!opened) throw new Error("The browser did not open a window: allow windows of this page, then try again");
    const { url, state } = await this.#client.createSigninRequest({ url_state: AGAIN });
    opened.location.href = url;
    return this.#keep(await this.#client.processSigninResponse(await answered(state.id)));
  }

  /** Keeps the tokens, and returns the function that gives one which is valid. */
  #keep(response: SigninResponse): () => Promise<string> {
    held = response;
    let renewing: Promise<void> | undefined;
    let margin = marginOf(response);
    return async () => {
      if ((held?.expires_in ?? Infinity) <= margin) {
        renewing ??= this.#renew().finally(() => (renewing = undefined));
        await renewing;
        margin = marginOf(held!);
      }
      return held!.access_token;
    };
  }

  /** Renews the tokens. Where the provider ended the sign-in, or gave nothing to renew with, the page asks again. */
  async #renew(): Promise<void> {
    const { refresh_token, id_token, session_state, scope, profile, expires_in = 0 } = held!;
    if (!refresh_token && expires_in > 0) return;
    try {
      if (!refresh_token) throw new ErrorResponse({ error: "login_required" });
      const state = { refresh_token, id_token, session_state, scope, profile };
      const fresh = await this.#client.useRefreshToken({ state });
      fresh.refresh_token ??= refresh_token;
      fresh.id_token ??= id_token;
      held = fresh;
    } catch (error) {
      if (!(error instanceof ErrorResponse)) throw error;
      refused.value = true;
      throw new AmplifierError("The sign-in has ended: sign in again");
    }
  }
}

/** Ends the sign-in at the provider, where it offers that. */
export async function end(provider: Schemas["OpenIdConnect"]): Promise<void> {
  const client = clientOf(provider);
  const id_token_hint = held?.id_token;
  held = undefined;
  if (!(await client.metadataService.getEndSessionEndpoint())) return;
  const { url } = await client.createSignoutRequest({ id_token_hint });
  location.assign(url);
}

/** Waits for the address to which the provider sent the other window. */
function answered(id: string): Promise<string> {
  const channel = new BroadcastChannel(AGAIN);
  return new Promise((resolve) => {
    channel.onmessage = ({ data }: MessageEvent<string>) => {
      if (!new URL(data).searchParams.get("state")?.startsWith(id)) return;
      channel.close();
      resolve(data);
    };
  });
}

function clientOf({ issuer, client_id, scopes }: Schemas["OpenIdConnect"]): OidcClient {
  return new OidcClient({
    authority: issuer,
    client_id,
    scope: scopes.join(" "),
    redirect_uri: `${location.origin}${BASE}/callback`,
    post_logout_redirect_uri: `${location.origin}${BASE}/sign-in`,
    // a sign-in under way: its state and the verifier of PKCE, until the provider has answered
    stateStore: new WebStorageStateStore({ store: sessionStorage }),
  });
}

function marginOf({ expires_in = Infinity }: SigninResponse): number {
  return Math.min(AHEAD, expires_in / 4);
}

/** Returns the path that was kept with a sign-in, without trust in it. */
function pathOf(state: unknown): string {
  const { to } = (state ?? {}) as { to?: unknown };
  return typeof to === "string" && to.startsWith(`${BASE}/`) ? to : `${BASE}/`;
}
