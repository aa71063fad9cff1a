/** How the page comes by its credentials, and gives them up. The rest of the console sees `credentials` only. */

import { signal } from "@preact/signals";
import { navigate as go } from "wouter-preact/use-browser-location";
import { answer, api, type Schemas } from "../api/client";
import { type Credentials, credentials, refused } from "../api/credentials";
import { BASE } from "../base";
import { askMe, me } from "../shell/me";
import { AGAIN } from "./again";
import { claimsOf } from "./token";

/** `handed-over`: this is the window of a sign-in for another one, which has its answer now. */
export type Phase = "starting" | "signed-out" | "signed-in" | "handed-over";

const WORK_AS = "work-as";
const SIGNED_OUT = "signed-out";

export const phase = signal<Phase>("starting");

/** Why nobody is signed in, if that is an error. */
export const failure = signal<unknown>(undefined);

/** What the service wants, null until it is known. */
export const wanted = signal<Schemas["SignIn"] | null>(null);

/** Counts the people for whom the page worked: whatever was loaded for one is not shown to the next. */
export const person = signal(0);

/** When the token ends that somebody pasted; null for others, which are renewed. */
export const until = signal<Date | null>(null);

/** Signs in without a question where that is possible. */
export async function start(): Promise<void> {
  if (handedOver()) return;
  await attempt(async () => {
    wanted.value = await answer(api.GET("/sign-in"));
    const { mode, oidc } = wanted.value;
    if (mode === "off") return void enter({ user: sessionStorage.getItem(WORK_AS) ?? undefined });
    if (oidc && location.pathname === `${BASE}/callback`) return returned();
    if (oidc && !sessionStorage.getItem(SIGNED_OUT)) return redirect("none");
    phase.value = "signed-out";
  });
}

/** Goes to the identity provider; `none` asks it to send back at once who has signed in there already. */
export async function redirect(prompt?: "none"): Promise<void> {
  const { OpenId } = await import("./openid");
  const path = location.pathname === `${BASE}/sign-in` ? `${BASE}/` : location.pathname;
  await new OpenId(wanted.value!.oidc!).redirect(path + location.search + location.hash, prompt);
}

/** Takes what the identity provider sent back, and shows the page from which one came. */
async function returned(): Promise<void> {
  const { Interaction, OpenId } = await import("./openid");
  try {
    const { to, token } = await new OpenId(wanted.value!.oidc!).returned();
    go(to, { replace: true });
    await enter({ token });
  } catch (error) {
    if (!(error instanceof Interaction)) throw error;
    go(error.to, { replace: true });
    phase.value = "signed-out";
  }
}

/** Signs in again in a window of its own, so that this page keeps what was typed. */
export async function again(): Promise<void> {
  const opened = window.open("", "", "popup,width=520,height=680");
  const { OpenId } = await import("./openid");
  const provider = new OpenId(wanted.value!.oidc!);
  await enter({ token: await provider.again(opened) });
}

/** Signs in with a token, and the application's key where the service wants one. Throws what the service says. */
export async function paste(token: string, key: string): Promise<void> {
  const header = wanted.value?.api_key_header;
  await enter({
    token: () => Promise.resolve(token),
    ...(header ? { apiKey: { header, key } } : {}),
  });
  until.value = claimsOf(token)?.until ?? null;
}

/** Works as another user while authentication is off; null: as dev-user. */
export async function workAs(user: string | null): Promise<void> {
  if (user) sessionStorage.setItem(WORK_AS, user);
  else sessionStorage.removeItem(WORK_AS);
  await enter({ user: user ?? undefined });
}

/** Forgets the credentials, also at the identity provider. */
export async function signOut(): Promise<void> {
  sessionStorage.setItem(SIGNED_OUT, "yes");
  const { oidc } = wanted.value!;
  const provided = oidc && !until.value ? credentials.value.token : undefined;
  credentials.value = {};
  [me.value, until.value, failure.value] = [null, null, undefined];
  [refused.value, phase.value] = [false, "signed-out"];
  if (oidc && provided) await attempt(async () => (await import("./openid")).end(oidc));
}

/** Gives the provider's answer to the window that waits for it, which `again` marked in the address. */
function handedOver(): boolean {
  if (!new URLSearchParams(location.search).get("state")?.endsWith(`;${AGAIN}`)) return false;
  new BroadcastChannel(AGAIN).postMessage(location.href);
  phase.value = "handed-over";
  window.close();
  return true;
}

/** Works with these credentials from now on, once the service has accepted them. */
async function enter(taken: Credentials): Promise<void> {
  const former = credentials.value;
  credentials.value = taken;
  const open = wanted.value!.mode === "off";
  if (open) phase.value = "signed-in"; // nothing can be refused: pages load at the same time
  try {
    const known = await askMe();
    if (me.value && me.value.user_id !== known.user_id) person.value++;
    me.value = known;
  } catch (error) {
    if (open) return;
    credentials.value = former;
    throw error;
  }
  sessionStorage.removeItem(SIGNED_OUT);
  [until.value, failure.value] = [null, undefined];
  [refused.value, phase.value] = [false, "signed-in"];
}

/** Keeps an error for the page, which then asks to sign in. */
async function attempt(act: () => Promise<void>): Promise<void> {
  failure.value = undefined;
  try {
    await act();
  } catch (error) {
    failure.value = error;
    phase.value = "signed-out";
  }
}
