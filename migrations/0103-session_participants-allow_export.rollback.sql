set local lock_timeout = '5s';

comment on column session_participants.permissions is 'Rights that differ from the role, a JSON object of booleans: `send`, `cancel`, `invite`';

drop function may_export;

create trigger session_participants_permissions_export_check before insert or update of permissions on session_participants
for each row when (new.permissions ? 'export') execute function refuse_value('permissions');
