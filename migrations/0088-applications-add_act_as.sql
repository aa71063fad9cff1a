-- depends: 0087-values-merge_patch
-- Applications that may act for users whom they name in X-User-ID, without their tokens. At first none may.
set local lock_timeout = '5s';

alter table applications add column act_as boolean not null default false;

comment on column applications.act_as is 'True if its keys may act for users that requests name in X-User-ID, without their tokens';
