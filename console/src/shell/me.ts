/** Who is signed in. */

import { signal } from "@preact/signals";
import { answer, api, type Schemas } from "../api/client";

/** The caller as `GET /users/me` says, null until it is known. */
export const me = signal<Schemas["User"] | null>(null);

/** Asks who the caller is. */
export async function askMe(): Promise<Schemas["User"]> {
  return answer(api.GET("/users/{user_id}", { params: { path: { user_id: "me" } } }));
}
