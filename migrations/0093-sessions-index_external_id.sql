-- depends: 0092-sessions-add_external_id
-- transactional: false
-- One session for each key of an application and owner.
drop index concurrently if exists sessions_external_id_idx;

create unique index concurrently sessions_external_id_idx on sessions (created_by_app_id, owner_user_id, external_id) where external_id is not null;
