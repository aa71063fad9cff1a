-- depends: 0045-applications-bound
-- An id has 255 characters at most, as in every table.
set local lock_timeout = '5s';

alter table application_keys
add constraint application_keys_key_id_length_check check (length(key_id) <= 255) not valid;
