/** Calls about the people of a session. */

import { answer, api, type Schemas } from "../api/client";
import { BASE } from "../base";
import type { Role } from "./rights";

export type Person = Schemas["Participant"];
export type Invitation = Schemas["Invitation"];

/** The people of a session as a view shows them: the caller's own part, and pages of all. */
export interface People {
  own: Person;
  items: Person[];
  next: string | null;
}

const PAGE = 200;

/** Returns the caller's part and the first `pages` pages of participants. */
export async function peopleOf(session_id: string, pages: number, signal: AbortSignal): Promise<People> {
  const own = answer(
    api.GET("/sessions/{session_id}/participants/{user_id}", {
      params: { path: { session_id, user_id: "me" } },
      signal,
    }),
  );
  own.catch(() => {}); // it may fail while the list is awaited
  const items: Person[] = [];
  let next: string | null = null;
  for (let page = 0; page < pages && (page === 0 || next !== null); page++) {
    const found: Schemas["ParticipantList"] = await answer(
      api.GET("/sessions/{session_id}/participants", {
        params: { path: { session_id }, query: { limit: PAGE, cursor: next ?? undefined } },
        signal,
      }),
    );
    items.push(...found.items);
    next = found.next;
  }
  return { own: await own, items, next };
}

/** Adds a person, or changes the role of one who takes part already. */
export function addPerson(session_id: string, user_id: string, role: Role): Promise<Person> {
  return answer(
    api.POST("/sessions/{session_id}/participants", { params: { path: { session_id } }, body: { user_id, role } }),
  );
}

/** Changes the role or the permissions of a person. `permissions` replaces all overrides. */
export function changePerson(session_id: string, user_id: string, body: Schemas["UpdateParticipant"]): Promise<Person> {
  return answer(
    api.PATCH("/sessions/{session_id}/participants/{user_id}", { params: { path: { session_id, user_id } }, body }),
  );
}

/** Removes a person; `me` leaves. */
export function removePerson(session_id: string, user_id: string): Promise<unknown> {
  return answer(
    api.DELETE("/sessions/{session_id}/participants/{user_id}", { params: { path: { session_id, user_id } } }),
  );
}

/** Hands the session over: the person becomes its owner, and the caller stays as editor. */
export function handOver(session_id: string, user_id: string): Promise<unknown> {
  return answer(api.POST("/sessions/{session_id}/transfer", { params: { path: { session_id } }, body: { user_id } }));
}

/** Returns the newest invitations, spent ones included. */
export async function invitationsOf(session_id: string, signal: AbortSignal): Promise<Invitation[]> {
  const found = await answer(
    api.GET("/sessions/{session_id}/invitations", { params: { path: { session_id }, query: { limit: 50 } }, signal }),
  );
  return found.items;
}

/** Creates an invitation and returns its link. The token is in the fragment, which browsers send to no server. */
export async function invite(session_id: string, body: Schemas["CreateInvitation"]): Promise<string> {
  const made = await answer(api.POST("/sessions/{session_id}/invitations", { params: { path: { session_id } }, body }));
  return `${location.origin}${BASE}/invitations#${made.token}`;
}

/** Revokes an invitation: it admits nobody from now on. */
export function revoke(session_id: string, invitation_id: string): Promise<unknown> {
  return answer(
    api.DELETE("/sessions/{session_id}/invitations/{invitation_id}", {
      params: { path: { session_id, invitation_id } },
    }),
  );
}

/** Returns the participant that the caller is or becomes by an invitation. */
export function accept(token: string): Promise<Schemas["Claim"]> {
  return answer(api.POST("/invitations/accept", { body: { token } }));
}
