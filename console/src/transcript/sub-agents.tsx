import { Link } from "wouter-preact";
import { answer, api } from "../api/client";
import { titleOf } from "../sessions/titles";
import { ErrorNote } from "../ui/error-note";
import { Menu } from "../ui/menu";
import { useResource } from "../ui/resource";

const MOST = 50; // sessions in the menu

/** A menu of the sessions that agents of this one started, the newest first; nothing where there are none. */
export function SubAgents({ sessionId }: { sessionId: string }) {
  const query = { parent_session_id: sessionId, sort: "created_at", limit: MOST } as const;
  const started = useResource((signal) => answer(api.GET("/sessions", { params: { query }, signal })), [sessionId]);
  if (started.error !== undefined) return <ErrorNote error={started.error} retry={started.reload} />;
  if (!started.data?.total) return null;
  const { sessions, total } = started.data;
  const name = total === 1 ? "1 sub-agent" : `${total} sub-agents`;
  return (
    <Menu name={name} icon={name}>
      {sessions.map((one) => (
        <Link key={one.session_id} href={`/sessions/${encodeURIComponent(one.session_id)}`} dir="auto">
          {titleOf(one)}
        </Link>
      ))}
      {total > sessions.length && <p>These are the newest {sessions.length}</p>}
    </Menu>
  );
}
