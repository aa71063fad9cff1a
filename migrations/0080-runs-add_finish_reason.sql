-- depends: 0079-messages-validate_role
-- Why the model ended the last answer of a run, in the vocabulary of docs/providers.md. Earlier releases leave it null.
set local lock_timeout = '5s';

alter table runs add column finish_reason varchar(64);

comment on column runs.finish_reason is 'Reason for which the model ended its last answer, such as `stop` or `length`; null if it gave none';
