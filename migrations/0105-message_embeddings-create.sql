-- depends: 0104-messages-rank_spelling
-- Embeddings of messages, for the search by meaning, which is off until message_embeddings_enable is called. Until then the tables are
-- empty and `messages` has no trigger for them, so that they cost nothing. Nothing here needs an extension: with pgvector 0.8 or newer
-- message_embeddings_enable makes `embedding` a halfvec with an HNSW index, and functions name its operators at run time only.
set local lock_timeout = '5s';

create table embedding_models (
    model text collate "C" not null,
    dimensions bigint not null,
    is_indexed boolean not null,
    created_at timestamptz not null default clock_timestamp(),
    constraint embedding_models_pkey primary key (model),
    constraint embedding_models_dimensions_check check (dimensions between 1 and 4000),
    constraint embedding_models_model_length_check check (length(model) <= 255)
);

-- a row is at most one
create unique index embedding_models_expr_idx on embedding_models ((true));

create table message_embeddings (
    session_id text collate "C" not null,
    seq bigint not null,
    created_at timestamptz not null,
    due_at timestamptz,
    attempts bigint not null default 0,
    digest bytea,
    embedding real[],
    constraint message_embeddings_pkey primary key (session_id, seq),
    constraint message_embeddings_session_id_fkey foreign key (session_id) references sessions on delete cascade,
    constraint message_embeddings_digest_size_check check (octet_length(digest) = 16),
    constraint message_embeddings_embedding_size_check check (cardinality(embedding) <= 4000)
);

create index message_embeddings_due_at_idx on message_embeddings (due_at) where due_at is not null;

create index message_embeddings_digest_idx on message_embeddings (digest) where embedding is not null;

grant select on embedding_models to amplifier_app;

grant select, insert, update, delete on message_embeddings to amplifier_app;

-- Triggers on `messages`, which message_embeddings_enable creates.
create function message_embeddings_add() returns trigger
language plpgsql
as $$
begin
    insert into public.message_embeddings (session_id, seq, created_at, due_at)
    select
        session_id,
        seq,
        created_at,
        clock_timestamp()
    from added
    on conflict (session_id, seq) do nothing;
    return null;
end
$$;

create function message_embeddings_drop() returns trigger
language plpgsql
as $$
begin
    delete from public.message_embeddings as e
    using removed as r
    where
        e.session_id = r.session_id
        and e.seq = r.seq;
    return null;
end
$$;

-- A new text takes the embedding from the row, and gives it a new time, by which the service finds that what it embedded
-- meanwhile is the former text.
create function message_embeddings_change() returns trigger
language plpgsql
as $$
begin
    if new.message is distinct from old.message then
        update public.message_embeddings
        set
            embedding = null,
            digest = null,
            attempts = 0,
            due_at = clock_timestamp()
        where
            session_id = old.session_id
            and seq = old.seq;
    end if;
    if new.seq <> old.seq then
        update public.message_embeddings
        set seq = new.seq
        where
            session_id = old.session_id
            and seq = old.seq;
    end if;
    return null;
end
$$;

-- The messages of some sessions whose embeddings are most similar to `wanted`, the most similar first. Whoever calls it has found out
-- that the reader may read the sessions. It goes one of two ways:
--   compared  each message of the sessions is compared, if their vectors have at most eight million numbers: as fast as the index, and
--             exact. If there is no index, only the newest messages are, four million numbers in all
--   index     otherwise the index yields messages of everybody, about the most similar first, until enough of them are of the sessions.
--             If 40,000 were not enough, the messages of the sessions are compared after all
--   of_messages   the number of messages of the sessions, as far as it is known
--   is_filtered   whether the message itself must be looked at
--   filtered      how it is
create function message_embeddings_nearest(
    of_session_ids text[],
    of_messages bigint,
    wanted real[],
    of_role text,
    of_author_user_id text,
    calling_tool text,
    since timestamptz,
    until timestamptz,
    most integer
)
returns table (session_id text, seq bigint, similarity double precision)
language plpgsql stable
rows 50
as $$
declare
    known public.embedding_models;
    extension_schema text;
    filtered text := '';
    compared text;
    found_session_ids text[];
    found_seqs bigint[];
    found_similarities double precision[];
begin
    select * into known from public.embedding_models;
    if of_session_ids is null or wanted is null or known.dimensions <> cardinality(wanted) then
        return;
    end if;
    if of_role is not null or of_author_user_id is not null or calling_tool is not null then
        filtered := 'and exists (
            select
            from public.messages as m
            where
                m.session_id = e.session_id
                and m.seq = e.seq
                and ($3 is null or m.role = $3)
                and ($4 is null or m.author_user_id = $4)
                and ($5 is null or $5 = any(public.message_tools(m.message)))
        )';
    end if;
    if known.is_indexed then
        select quote_ident(n.nspname) into extension_schema
        from pg_catalog.pg_extension as x
        inner join pg_catalog.pg_namespace as n on n.oid = x.extnamespace
        where x.extname = 'vector';
        compared := format(
            '1 - (e.embedding operator(%1$s.<=>) $2::%1$s.halfvec(%2$s))', extension_schema, known.dimensions
        );
    end if;
    if known.is_indexed and of_messages * known.dimensions > 8000000 then
        perform
            set_config('hnsw.iterative_scan', 'relaxed_order', true),
            set_config('hnsw.ef_search', '400', true),
            set_config('hnsw.max_scan_tuples', '40000', true);
        execute format(
            'select
                array_agg(n.session_id order by n.similarity desc),
                array_agg(n.seq order by n.similarity desc),
                array_agg(n.similarity order by n.similarity desc)
            from (
                select
                    e.session_id,
                    e.seq,
                    %3$s as similarity
                from public.message_embeddings as e
                where
                    e.embedding is not null
                    and e.session_id = any($1)
                    and ($6 is null or e.created_at >= $6)
                    and ($7 is null or e.created_at < $7)
                    %4$s
                order by e.embedding operator(%1$s.<=>) $2::%1$s.halfvec(%2$s)
                limit $8
            ) as n',
            extension_schema, known.dimensions, compared, filtered
        )
        into found_session_ids, found_seqs, found_similarities
        using of_session_ids, wanted, of_role, of_author_user_id, calling_tool, since, until, most;
        if cardinality(found_seqs) = most then
            return query
            select *
            from unnest(found_session_ids, found_seqs, found_similarities);
            return;
        end if;
    end if;
    return query execute format(
        'select
            e.session_id,
            e.seq,
            %1$s as similarity
        from (
            select
                n.session_id,
                n.seq,
                n.embedding
            from unnest($1) as s (session_id)
            cross join lateral (
                select *
                from public.message_embeddings as e
                where
                    e.session_id = s.session_id
                    and e.embedding is not null
                    and ($6 is null or e.created_at >= $6)
                    and ($7 is null or e.created_at < $7)
                    %2$s
                offset 0
            ) as n
            %3$s
        ) as e
        order by
            similarity desc,
            e.session_id desc,
            e.seq desc
        limit $8',
        coalesce(
            compared,
            '(
                select sum(t.a * t.b) / nullif(sqrt(sum(t.a * t.a) * sum(t.b * t.b)), 0)
                from unnest(e.embedding, $2) as t (a, b)
            )::double precision'
        ),
        filtered,
        case when compared is null then format('order by n.created_at desc limit %s', 4000000 / cardinality(wanted)) else '' end
    )
    using of_session_ids, wanted, of_role, of_author_user_id, calling_tool, since, until, most;
end
$$;

-- Has messages embedded that were added before message_embeddings_enable was called, or given up, in the order of the key from a message
-- on. Returns the last message that was looked at, null at the end.
create function message_embeddings_fill(
    inout after_session_id text, inout after_seq bigint, most bigint, out scanned bigint, out added bigint
) returns record
language plpgsql volatile
as $$
begin
    with next_messages as materialized (
        select
            m.session_id,
            m.seq,
            m.created_at
        from public.messages as m
        where (m.session_id, m.seq) > (after_session_id, after_seq)
        order by
            m.session_id,
            m.seq
        limit most
    ),

    added_rows as (
        insert into public.message_embeddings as e (session_id, seq, created_at, due_at)
        select
            n.session_id,
            n.seq,
            n.created_at,
            n.created_at
        from next_messages as n
        on conflict (session_id, seq) do update
        set
            due_at = excluded.due_at,
            attempts = 0
        where
            e.embedding is null
            and e.due_at is null
        returning 1
    )

    select
        max(n.session_id),
        (array_agg(n.seq order by n.session_id desc, n.seq desc))[1],
        count(*),
        (select count(*) from added_rows)
    into after_session_id, after_seq, scanned, added
    from next_messages as n;
end
$$;

-- Prepares the database for the embeddings of a model, and returns whether it has an index for them. If it was prepared for another
-- model, the embeddings of that one are removed. Whoever owns the tables may call it.
--   may_use_vector  false to do without pgvector though the server has it
create function message_embeddings_enable(
    new_model text, new_dimensions integer, may_use_vector boolean default true
) returns boolean
language plpgsql volatile
set lock_timeout = '5s'
as $$
declare
    has_vector boolean;
    extension_schema text;
begin
    if exists (select from pg_catalog.pg_extension where extname = 'citus') then
        raise exception 'the search by meaning is not for a database with Citus';
    end if;
    lock table public.embedding_models in exclusive mode;
    has_vector := may_use_vector and exists (
        select
        from pg_catalog.pg_available_extensions as x
        where
            x.name = 'vector'
            and string_to_array(substring(coalesce(x.installed_version, x.default_version) from '^[0-9]+[.][0-9]+'), '.')::integer[]
            >= array[0, 8]
    );
    if not exists (
        select
        from public.embedding_models as k
        where
            k.model = new_model
            and k.dimensions = new_dimensions
            and k.is_indexed = has_vector
    ) then
        perform public.message_embeddings_disable();
        if has_vector then
            create extension if not exists vector;
            select quote_ident(n.nspname) into extension_schema
            from pg_catalog.pg_extension as x
            inner join pg_catalog.pg_namespace as n on n.oid = x.extnamespace
            where x.extname = 'vector';
            alter table public.message_embeddings drop constraint message_embeddings_embedding_size_check;
            execute format(
                'alter table public.message_embeddings alter column embedding type %1$s.halfvec(%2$s) using null',
                extension_schema, new_dimensions
            );
            execute format(
                'create index message_embeddings_embedding_idx on public.message_embeddings
                using hnsw (embedding %1$s.halfvec_cosine_ops)',
                extension_schema
            );
        end if;
        insert into public.embedding_models (model, dimensions, is_indexed) values (new_model, new_dimensions, has_vector);
    end if;
    if not exists (select from pg_catalog.pg_trigger where tgname = 'messages_add_embeddings') then
        create trigger messages_add_embeddings after insert on public.messages
        referencing new table as added
        for each statement execute function public.message_embeddings_add();
        create trigger messages_drop_embeddings after delete on public.messages
        referencing old table as removed
        for each statement execute function public.message_embeddings_drop();
        create trigger messages_change_embeddings after update on public.messages
        for each row
        when (old.message is distinct from new.message or old.seq is distinct from new.seq)
        execute function public.message_embeddings_change();
    end if;
    return has_vector;
end
$$;

-- Removes all embeddings, and what costs something while they are kept. The extension stays: others may use it.
create function message_embeddings_disable() returns void
language plpgsql volatile
set lock_timeout = '5s'
as $$
begin
    drop trigger if exists messages_add_embeddings on public.messages;
    drop trigger if exists messages_drop_embeddings on public.messages;
    drop trigger if exists messages_change_embeddings on public.messages;
    truncate public.message_embeddings;
    delete from public.embedding_models;
    drop index if exists public.message_embeddings_embedding_idx;
    alter table public.message_embeddings drop constraint if exists message_embeddings_embedding_size_check;
    alter table public.message_embeddings alter column embedding type real[] using null;
    alter table public.message_embeddings
    add constraint message_embeddings_embedding_size_check check (cardinality(embedding) <= 4000);
end
$$;

revoke all on function message_embeddings_enable(text, integer, boolean) from public;

revoke all on function message_embeddings_disable() from public;

comment on table embedding_models is 'The model that messages are embedded by, one row; none while the search by meaning is off. message_embeddings_enable writes it.';

comment on column embedding_models.model is 'Model, as SEARCH_EMBEDDINGS names it';

comment on column embedding_models.dimensions is 'Length of its vectors';

comment on column embedding_models.is_indexed is 'True if pgvector keeps the vectors, false if they are arrays that are compared one by one';

comment on column embedding_models.created_at is 'Time when the model was chosen';

comment on table message_embeddings is 'Embeddings of messages, and messages that wait for theirs; no rows while the search by meaning is off. Triggers on messages add and delete rows, the service fills them.';

comment on column message_embeddings.session_id is 'The session';

comment on column message_embeddings.seq is 'Number of the message';

comment on column message_embeddings.created_at is 'Time of the message';

comment on column message_embeddings.due_at is 'Time from which on the message is embedded, or until which a process has claimed it; null if it was embedded or cannot be';

comment on column message_embeddings.attempts is 'Number of attempts to embed it that failed or go on';

comment on column message_embeddings.digest is 'First 16 bytes of the SHA-256 of the text that was embedded, by which the same text is embedded once';

comment on column message_embeddings.embedding is 'Vector, or null; halfvec if embedding_models.is_indexed';

comment on function message_embeddings_add is 'Trigger: adds rows for new messages, which wait to be embedded';

comment on function message_embeddings_drop is 'Trigger: deletes the embeddings of messages that were deleted or taken back';

comment on function message_embeddings_change is 'Trigger: removes the embedding of a replaced message, or gives it the new number of a moved one';

comment on function message_embeddings_nearest is 'Returns the messages of some sessions whose embeddings are most similar to a vector. The caller checks who may read the sessions';

comment on function message_embeddings_fill is 'Returns how far it came among messages that have no embedding: it has a number of them embedded';

comment on function message_embeddings_enable is 'Returns whether pgvector keeps the embeddings of a model, for which it prepares the database. Removes those of another model';

comment on function message_embeddings_disable is 'Gives the database the state without embeddings: removes them, their triggers and their index';
