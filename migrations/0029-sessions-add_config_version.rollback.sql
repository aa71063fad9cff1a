-- Which version of its config a session began with, and which session it was copied from, is lost.
set local lock_timeout = '5s';

alter table sessions
drop column forked_at_seq,
drop column forked_from_session_id,
drop column config_version;
