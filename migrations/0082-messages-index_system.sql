-- depends: 0081-messages-read_tags_with_colons
-- transactional: false
-- The messages of the system, which an agent reads however long the transcript is.
drop index concurrently if exists messages_session_id_system_idx;

create index concurrently messages_session_id_system_idx on messages (session_id, seq) where role in ('system', 'developer');
