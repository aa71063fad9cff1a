set local lock_timeout = '5s';

drop function messages_move(text, bigint[], bigint[]);
