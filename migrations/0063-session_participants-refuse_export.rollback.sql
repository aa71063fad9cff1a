set local lock_timeout = '5s';

drop trigger session_participants_permissions_export_check on session_participants;
