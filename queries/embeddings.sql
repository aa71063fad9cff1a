-- name: get_model()^
-- The model that the database is prepared for, with the length of its vectors.
-- @return EmbeddingModel | none
-- @access system
-- @shards local
-- @index  none
select
    model,
    dimensions,
    is_indexed
from embedding_models;


-- name: claim(seconds, window, limit)
-- Claims messages that wait for their embeddings, for some seconds: the newest `window`, of these one of each session, then a second one.
-- Another process can claim them afterwards, if this one died.
-- @param  seconds  time until which no other process claims them
-- @param  window   messages at most to choose from
-- @param  limit    rows at most
-- @return ClaimedMessage[]
-- @access system
-- @shards all
-- @index  message_embeddings_due_at_idx, message_embeddings_pkey
-- @cte    newest_messages  the newest that wait
-- @cte    chosen_messages  those to claim
-- @cte    locked_messages  those that no other process claims at this moment
with newest_messages as materialized (
    select
        session_id,
        seq,
        due_at
    from message_embeddings
    where due_at <= statement_timestamp()
    order by due_at desc
    limit :window
),

chosen_messages as materialized (
    select
        session_id,
        seq
    from (
        select
            session_id,
            seq,
            due_at,
            row_number() over (partition by session_id order by due_at desc) as place
        from newest_messages
    ) as n
    order by
        place,
        due_at desc
    limit :limit
),

locked_messages as materialized (
    select
        e.session_id,
        e.seq
    from message_embeddings as e
    where
        (e.session_id, e.seq) in (
            select
                session_id,
                seq
            from chosen_messages
        )
        and e.due_at <= statement_timestamp()
    for no key update skip locked
)

update message_embeddings as e
set
    due_at = statement_timestamp() + make_interval(secs => :seconds),
    attempts = e.attempts + 1
from locked_messages as l
where
    e.session_id = l.session_id
    and e.seq = l.seq
returning
    e.session_id,
    e.seq,
    e.due_at,
    e.attempts;


-- name: list_texts(session_ids, seqs, most)
-- The texts of claimed messages: what was said, called and returned, in this order, at most `most` characters. What agents thought is
-- never embedded, because viewers may not find messages by it.
-- @param  session_ids  sessions of the messages
-- @param  seqs         their numbers
-- @param  most         characters at most
-- @return EmbeddingText[]
-- @access system
-- @shards all
-- @index  messages_pkey
select
    m.session_id,
    m.seq,
    left(t.words, :most) as words,
    substr(sha256(convert_to(left(t.words, :most), 'UTF8')), 1, 16) as digest
from unnest(:session_ids::text[], :seqs::bigint[]) as c (session_id, seq)
inner join messages as m on m.session_id = c.session_id and m.seq = c.seq
cross join lateral (
    select btrim(concat_ws(E'\n', said, called, returned), E' \n\r\t') as words
    from message_texts(m.message)
) as t;


-- name: copy(session_ids, seqs, claimed_until, digests)
-- Stores the embeddings of texts that were embedded already, in sessions that were forked for example, and returns their messages.
-- @param  session_ids    sessions of claimed messages
-- @param  seqs           their numbers
-- @param  claimed_until  the times of the claims
-- @param  digests        digests of their texts
-- @return MessagePlace[]
-- @access system
-- @shards all
-- @index  message_embeddings_digest_idx, message_embeddings_pkey
update message_embeddings as e
set
    embedding = t.embedding,
    digest = t.digest,
    due_at = null
from unnest(:session_ids::text[], :seqs::bigint[], :claimed_until::timestamptz[], :digests::bytea[])
    as c (session_id, seq, due_at, digest)
cross join lateral (
    select
        embedding,
        digest
    from message_embeddings
    where
        digest = c.digest
        and embedding is not null
    limit 1
) as t
where
    e.session_id = c.session_id
    and e.seq = c.seq
    and e.due_at is not distinct from c.due_at
returning
    e.session_id,
    e.seq;


-- name: store(session_ids, seqs, claimed_until, digests, vectors)!
-- Stores embeddings. Messages that were replaced, moved, taken back or claimed by others since they were claimed keep what they have. The
-- key finds the rows, because all messages of a claim have one time. A column of pgvector takes an array, too.
-- @param  session_ids    sessions of claimed messages
-- @param  seqs           their numbers
-- @param  claimed_until  the times of the claims
-- @param  digests        digests of their texts
-- @param  vectors        the vectors, as texts of arrays
-- @return row count
-- @access system
-- @shards all
-- @index  message_embeddings_pkey
update message_embeddings as e
set
    embedding = c.vector::real[],
    digest = c.digest,
    due_at = null
from unnest(:session_ids::text[], :seqs::bigint[], :claimed_until::timestamptz[], :digests::bytea[], :vectors::text[])
    as c (session_id, seq, due_at, digest, vector)
where
    e.session_id = c.session_id
    and e.seq = c.seq
    and e.due_at is not distinct from c.due_at;


-- name: give_back(session_ids, seqs, claimed_until, seconds, failed)!
-- Ends claims without an embedding: the messages are due again later.
-- @param  session_ids    sessions of claimed messages
-- @param  seqs           their numbers
-- @param  claimed_until  the times of the claims
-- @param  seconds        time after which they are due again
-- @param  failed         false if nothing is known against the messages: then the attempt does not count
-- @return row count
-- @access system
-- @shards all
-- @index  message_embeddings_pkey
update message_embeddings as e
set
    due_at = statement_timestamp() + make_interval(secs => :seconds),
    attempts = case when :failed::boolean then e.attempts else greatest(e.attempts - 1, 0) end
from unnest(:session_ids::text[], :seqs::bigint[], :claimed_until::timestamptz[]) as c (session_id, seq, due_at)
where
    e.session_id = c.session_id
    and e.seq = c.seq
    and e.due_at is not distinct from c.due_at;


-- name: give_up(session_ids, seqs, claimed_until)!
-- Ends claims for good: the messages have nothing to embed, or failed too often. A new text makes them due again.
-- @param  session_ids    sessions of claimed messages
-- @param  seqs           their numbers
-- @param  claimed_until  the times of the claims
-- @return row count
-- @access system
-- @shards all
-- @index  message_embeddings_pkey
update message_embeddings as e
set due_at = null
from unnest(:session_ids::text[], :seqs::bigint[], :claimed_until::timestamptz[]) as c (session_id, seq, due_at)
where
    e.session_id = c.session_id
    and e.seq = c.seq
    and e.due_at is not distinct from c.due_at;


-- name: count_waiting(most)$
-- The number of messages that wait for their embeddings, counted up to `most`.
-- @param  most  the number to stop at
-- @return value
-- @access system
-- @shards all
-- @index  message_embeddings_due_at_idx
select count(*)
from (
    select
    from message_embeddings
    where due_at is not null
    limit :most
) as counted_messages;
