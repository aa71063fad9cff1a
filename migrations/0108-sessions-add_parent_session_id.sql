-- depends: 0107-session_origins-create
-- A session that an agent of another one started: a sub-agent. The other one may be gone.
set local lock_timeout = '5s';

alter table sessions add column parent_session_id text collate "C";

create trigger sessions_parent_session_id_length_check before insert or update of parent_session_id on sessions
for each row when (length(new.parent_session_id) > 255) execute function refuse_value('parent_session_id');

comment on column sessions.parent_session_id is 'The session whose agent started this one as a sub-agent, which may be gone; else null';
