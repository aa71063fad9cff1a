-- depends: 0028-config_versions-create
-- Where a session comes from: the version of its config when it began, null for older sessions, and for a fork the session that it
-- was copied from, up to which number. That session may be gone, or closed to those who take part in the fork: no foreign key.
set local lock_timeout = '5s';

alter table sessions
add column config_version bigint,
add column forked_from_session_id text collate "C",
add column forked_at_seq bigint;
