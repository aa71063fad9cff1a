/** Names of sessions on the page. */

const UNNAMED = "Untitled session";

/** Returns the title of a session, or what stands for it. */
export function titleOf(session: { title: string | null }): string {
  return session.title?.trim() || UNNAMED;
}
