-- depends: 0062-users-bound
-- `export` permits nothing as long as there is no export: it is not given any more. Rows that have it keep it, and may be updated.
set local lock_timeout = '5s';

create trigger session_participants_permissions_export_check before insert or update of permissions on session_participants
for each row when (new.permissions ? 'export') execute function refuse_value('permissions');
