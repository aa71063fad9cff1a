/** Who the page speaks for. Tokens live in memory only. */

import { signal } from "@preact/signals";

export interface Credentials {
  /** Returns a token that is valid now, and renews it when needed. */
  token?: () => Promise<string>;
  /** The key of an application, which `AUTH_MODE=api_key_jwt` takes beside the token, and its header. */
  apiKey?: { header: string; key: string };
  /** The user for whom the page works while authentication is off. */
  user?: string;
}

export const credentials = signal<Credentials>({});

/** Whether the service refused the credentials: the page asks to sign in again. */
export const refused = signal(false);

/** Returns the headers that carry the credentials. */
export async function credentialHeaders(): Promise<Record<string, string>> {
  const { token, apiKey, user } = credentials.value;
  return {
    ...(token ? { Authorization: `Bearer ${await token()}` } : {}),
    ...(apiKey ? { [apiKey.header]: apiKey.key } : {}),
    ...(user && !token ? { "X-User-ID": inBytes(user) } : {}),
  };
}

/** Returns text as the service reads it in a header: UTF-8, one character for each byte. */
function inBytes(text: string): string {
  return String.fromCharCode(...new TextEncoder().encode(text));
}
