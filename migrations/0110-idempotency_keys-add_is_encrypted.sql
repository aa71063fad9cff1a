-- depends: 0109-sessions-index_parent_session_id
-- An append's statement stores its own answer, which has nothing but ids and numbers, and cannot encrypt it. A process of the earlier
-- release refuses to repeat such an answer (409) and does nothing.
set local lock_timeout = '5s';

alter table idempotency_keys add column is_encrypted boolean not null default true;

comment on column idempotency_keys.is_encrypted is 'True if response is encrypted with the key and the service''s SECRET_KEY';
