/** The rules of docs/sharing.md. The page offers only what they allow; the service decides. */

import type { Schemas } from "../api/client";

export type Role = Schemas["Participant"]["role"];

/** The part of a user in a session: the role, and overrides of it where they are known. */
export interface Part {
  role: Role;
  permissions?: { send?: boolean; cancel?: boolean; invite?: boolean; export?: boolean };
}

/** What a participant may do. Everyone who takes part may read, search, follow and, the last owner excepted, leave. */
export interface Rights {
  /** Append messages, send them to the agent, answer its questions, take back one's own messages. */
  send: boolean;
  /** Stop the agent. */
  cancel: boolean;
  /** Add people and create invitations, up to one's own role. */
  invite: boolean;
  /** Export the transcript, fork the session. */
  export: boolean;
  /** Change title, tags, metadata and status, take back messages of others. */
  change: boolean;
  /** Change roles and permissions, remove others, see and revoke invitations, transfer, delete, erase what was taken back. */
  own: boolean;
}

/** Returns what a participant may do; nothing while the part is not known. */
export function rightsOf(part: Part | null | undefined): Rights {
  const own = part?.role === "owner";
  const change = own || part?.role === "editor";
  const { send = change, cancel = change, invite = own, export: exports = part != null } = part?.permissions ?? {};
  return { send, cancel, invite, export: exports, change, own };
}

/** Returns the roles that a participant may give to others: no higher one than the own. */
export function rolesToGive(part: Part): Role[] {
  const roles: Role[] = ["owner", "editor", "viewer"];
  return rightsOf(part).invite ? roles.slice(roles.indexOf(part.role)) : [];
}
