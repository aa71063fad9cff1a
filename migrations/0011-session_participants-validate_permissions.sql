-- depends: 0010-session_participants-check_permissions
set local lock_timeout = '5s';

alter table session_participants validate constraint session_participants_permissions_keys_check;
