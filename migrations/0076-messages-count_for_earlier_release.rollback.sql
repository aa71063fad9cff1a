set local lock_timeout = '5s';

drop trigger messages_count_for_earlier_release on messages;

drop function count_messages_for_earlier_release();
