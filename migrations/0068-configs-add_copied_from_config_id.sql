-- depends: 0067-runs-index_queued_user_id
-- A session that changes hands runs a copy of its config, which belongs to nobody. Secrets are encrypted for the id of the
-- config that they were written to, which the copy keeps here.
set local lock_timeout = '5s';

alter table configs
add column copied_from_config_id text collate "C",
add constraint configs_copied_from_config_id_check check (length(copied_from_config_id) <= 255) not valid;
