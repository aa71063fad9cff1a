set local lock_timeout = '5s';

alter function messages_retract(text, bigint[], bigint, text, text, boolean) reset enable_bitmapscan;

alter function messages_choose(text, bigint[], bigint, bigint, bigint) reset enable_sort;

alter function messages_choose(text, bigint[], bigint, bigint, bigint) reset enable_bitmapscan;

-- allow renaming-object: no code names the constraint
alter table retracted_messages
rename constraint retracted_messages_author_user_id_length_check to retracted_messages_id_length_check;
