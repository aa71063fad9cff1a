set local lock_timeout = '5s';

alter table session_participants drop constraint session_participants_permissions_keys_check;

alter table session_participants add constraint session_participants_permissions_keys_check check (
    permissions - array['send', 'cancel', 'invite', 'export'] = '{}'
    and not permissions @? 'strict $.* ? (@.type() != "boolean")'
) not valid;
