-- Copies stay, but nothing decrypts their secrets any more.
set local lock_timeout = '5s';

alter table configs
drop column copied_from_config_id;
