-- depends: 0044-values-refuse
-- 64 kB of settings.
set local lock_timeout = '5s';

create trigger applications_settings_size_check before insert or update of settings on applications
for each row when (octet_length(new.settings::text) > 65536) execute function refuse_value('settings');

alter table applications
add constraint applications_api_key_prefix_length_check check (length(api_key_prefix) <= 255) not valid;
