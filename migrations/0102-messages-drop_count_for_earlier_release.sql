-- depends: 0101-processes-create
-- Every release counts what it adds in `messages_total` itself since 0076. Connections of the service need not say so any
-- more, which a pooler in transaction mode prevents.
set local lock_timeout = '5s';

drop trigger messages_count_for_earlier_release on messages;

-- allow ban-drop-function: the trigger alone called it
drop function count_messages_for_earlier_release();
