-- depends: 0102-messages-drop_count_for_earlier_release
-- `export` is a right again: transcripts can be exported. Every role has it, because whoever reads a session could keep a copy of it so far;
-- owners may take it from a person.
set local lock_timeout = '5s';

drop trigger session_participants_permissions_export_check on session_participants;

-- Exports the transcript, reads all of it in one answer, and forks the session.
create function may_export(role text, permissions jsonb) returns boolean
language sql immutable parallel safe
return coalesce((permissions ->> 'export')::boolean, role in ('owner', 'editor', 'viewer'));

comment on function may_export is 'Returns whether a participant may export the transcript, read it in one answer and fork the session: as `permissions` say, else everybody';
comment on column session_participants.permissions is 'Rights that differ from the role, a JSON object of booleans: `send`, `cancel`, `invite`, `export`';
