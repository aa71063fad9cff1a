-- depends: 0009-session_invitations-create
-- Overrides of what a role may do: true or false for known keys, and nothing else. Validated by the next migration, which
-- lets writers through.
set local lock_timeout = '5s';

alter table session_participants add constraint session_participants_permissions_keys_check check (
    permissions - array['send', 'cancel', 'invite', 'export'] = '{}'
    and not permissions @? 'strict $.* ? (@.type() != "boolean")'
) not valid;
