-- depends: 0078-messages-derive_role
set local lock_timeout = '5s';

alter table messages validate constraint messages_role_check;

alter table messages validate constraint messages_message_role_check;
