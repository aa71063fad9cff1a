set local lock_timeout = '5s';

alter table messages drop constraint messages_message_role_check;

alter table messages drop constraint messages_role_check;

alter table messages
add constraint messages_role_check
check (role in ('system', 'developer', 'user', 'assistant', 'function', 'tool')) not valid,
add constraint messages_message_role_check
check (
    case
        when jsonb_typeof(message -> 'role') = 'string' then length(message ->> 'role') between 1 and 64
        else message ->> 'role' is null
    end
) not valid;
