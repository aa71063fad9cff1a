-- depends: 0051-idempotency_keys-bound
-- The message itself has its bound since 0007: `size` is the length of its text.
set local lock_timeout = '5s';

alter table messages
add constraint messages_author_user_id_length_check check (greatest(length(author_user_id), length(author_app_id), length(search_revision)) <= 255) not valid;
