/** The calls of the service about whole sessions. Each throws ProblemError and ConnectionError. */

import { answer, api, type Schemas } from "../api/client";

export type Session = Schemas["Session"];
export type Config = Schemas["ConfigSummary"];

/** What the actions need of a session: the whole session has it, and so has a row of a list. */
export type SessionLike = Pick<Session, "session_id" | "title" | "status" | "role" | "config_id"> & { tags: unknown };

const MERGE = { "Content-Type": "application/merge-patch+json" };
const path = (session_id: string) => ({ path: { session_id } });

/** Returns the tags of a session, which the document leaves open, as texts by key. */
export function tagsOf(session: { tags: unknown }): Record<string, string> {
  return (session.tags ?? {}) as Record<string, string>;
}

export function createSession(body: Schemas["CreateSession"]): Promise<Session> {
  return answer(api.POST("/sessions", { body }));
}

/** Changes what `body` names; tags that it does not name stay, and null removes one. */
export function changeSession(sessionId: string, body: Schemas["MergeSession"]): Promise<Session> {
  return answer(api.PATCH("/sessions/{session_id}", { params: path(sessionId), headers: MERGE, body }));
}

export function resumeSession(sessionId: string): Promise<Session> {
  return answer(api.POST("/sessions/{session_id}/resume", { params: path(sessionId) }));
}

export function forkSession(sessionId: string, body: Schemas["ForkSession"]): Promise<Session> {
  return answer(api.POST("/sessions/{session_id}/fork", { params: path(sessionId), body }));
}

/** Deletes a session. The request outlives the page. */
export async function deleteSession(sessionId: string): Promise<void> {
  await api.DELETE("/sessions/{session_id}", { params: path(sessionId), keepalive: true });
}

/** Returns the caller's configs with `name` in their name, the last changed first, and whether there are more. */
export async function listConfigs(name: string, signal: AbortSignal): Promise<{ configs: Config[]; more: boolean }> {
  const query = { limit: 100, ...(name ? { name } : {}) };
  const { configs, next } = await answer(api.GET("/configs", { params: { query }, signal }));
  return { configs, more: next !== null };
}

export function createConfig(body: Schemas["CreateConfig"]): Promise<Schemas["Config"]> {
  return answer(api.POST("/configs", { body }));
}
