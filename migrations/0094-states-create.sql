-- depends: 0093-sessions-index_external_id
-- Documents that agents keep beside transcripts: of a session, of a user in an application, and of an application. Requests
-- change them by JSON merge patch, alone or in the statement of an append.
set local lock_timeout = '5s';

create table session_states (
    session_id text collate "C" not null,
    document jsonb not null default '{}',
    version bigint not null default 0,
    updated_at timestamptz not null default clock_timestamp(),
    constraint session_states_pkey primary key (session_id),
    constraint session_states_session_id_fkey foreign key (session_id) references sessions on delete cascade,
    constraint session_states_document_check check (jsonb_typeof(document) = 'object'),
    constraint session_states_document_depth_check check (not document @? '$.**{64}')
);

create table user_states (
    user_id text collate "C" not null,
    app_id text collate "C" not null,
    document jsonb not null default '{}',
    version bigint not null default 0,
    updated_at timestamptz not null default clock_timestamp(),
    constraint user_states_pkey primary key (user_id, app_id),
    constraint user_states_user_id_length_check check (greatest(length(user_id), length(app_id)) <= 255),
    constraint user_states_document_check check (jsonb_typeof(document) = 'object'),
    constraint user_states_document_depth_check check (not document @? '$.**{64}')
);

-- those of an application that is deleted
create index user_states_app_id_idx on user_states (app_id);

create table application_states (
    app_id text collate "C" not null,
    document jsonb not null default '{}',
    version bigint not null default 0,
    updated_at timestamptz not null default clock_timestamp(),
    constraint application_states_pkey primary key (app_id),
    constraint application_states_app_id_length_check check (length(app_id) <= 255),
    constraint application_states_document_check check (jsonb_typeof(document) = 'object'),
    constraint application_states_document_depth_check check (not document @? '$.**{64}')
);

create trigger session_states_set_updated_at before update on session_states
for each row when (new.updated_at is not distinct from old.updated_at) execute function set_updated_at();

create trigger user_states_set_updated_at before update on user_states
for each row when (new.updated_at is not distinct from old.updated_at) execute function set_updated_at();

create trigger application_states_set_updated_at before update on application_states
for each row when (new.updated_at is not distinct from old.updated_at) execute function set_updated_at();

create trigger session_states_document_size_check before insert or update of document on session_states
for each row when (octet_length(new.document::text) > 65536) execute function refuse_value('document');

create trigger user_states_document_size_check before insert or update of document on user_states
for each row when (octet_length(new.document::text) > 65536) execute function refuse_value('document');

create trigger application_states_document_size_check before insert or update of document on application_states
for each row when (octet_length(new.document::text) > 65536) execute function refuse_value('document');

-- `applications` has no row for the application that calls while authentication is off, so that no foreign key can do this
create function applications_drop_states() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
    delete from public.user_states where app_id = old.app_id;
    delete from public.application_states where app_id = old.app_id;
    return null;
end
$$;

create trigger applications_drop_states after delete on applications
for each row execute function applications_drop_states();

-- The functions are volatile, so that each of their statements reads what was committed while the statement that calls them
-- waited for a lock.

create function states_lock(of_app_id text, of_user_id text, with_application boolean, with_user boolean) returns boolean
language plpgsql as $$
begin
    if with_application then
        insert into application_states (app_id) values (of_app_id) on conflict do nothing;
        perform from application_states where app_id = of_app_id for no key update;
    end if;
    if with_user then
        insert into user_states (user_id, app_id) values (of_user_id, of_app_id) on conflict do nothing;
        perform from user_states where user_id = of_user_id and app_id = of_app_id for no key update;
    end if;
    return true;
end
$$;

create function states_read(of_session_id text, of_app_id text, of_user_id text)
returns table (scope text, document jsonb, version bigint, updated_at timestamptz) language sql as $$
    select
        s.scope,
        coalesce(d.document, '{}'),
        coalesce(d.version, 0),
        case when d.version > 0 then d.updated_at end
    from (values ('application'), ('session'), ('user')) as s (scope)
    left join (
        select
            'application' as scope,
            document,
            version,
            updated_at
        from application_states
        where app_id = of_app_id
        union all
        select
            'session',
            document,
            version,
            updated_at
        from session_states
        where session_id = of_session_id
        union all
        select
            'user',
            document,
            version,
            updated_at
        from user_states
        where
            user_id = of_user_id
            and app_id = of_app_id
    ) as d on d.scope = s.scope
$$;

create function states_patch(
    of_session_id text, of_app_id text, of_user_id text, patches jsonb,
    out state jsonb, out session_version bigint, out session_names text[]
) language plpgsql as $$
declare
    former jsonb;
    latter jsonb;
begin
    update application_states as s
    set
        document = merge_patch(s.document, patches -> 'application'),
        version = s.version + 1,
        updated_at = clock_timestamp()
    where
        s.app_id = of_app_id
        and merge_patch(s.document, patches -> 'application') <> s.document;
    update user_states as s
    set
        document = merge_patch(s.document, patches -> 'user'),
        version = s.version + 1,
        updated_at = clock_timestamp()
    where
        s.user_id = of_user_id
        and s.app_id = of_app_id
        and merge_patch(s.document, patches -> 'user') <> s.document;
    if patches ? 'session' then
        insert into session_states (session_id) values (of_session_id) on conflict do nothing;
        select s.document into former from session_states as s where s.session_id = of_session_id;
        latter := merge_patch(former, patches -> 'session');
        if latter <> former then
            update session_states as s
            set
                document = latter,
                version = s.version + 1,
                updated_at = clock_timestamp()
            where s.session_id = of_session_id
            returning s.version into session_version;
            session_names := array(
                select p.key
                from jsonb_object_keys(patches -> 'session') as p (key)
                where latter -> p.key is distinct from former -> p.key
                order by p.key
            );
        end if;
    end if;
    select jsonb_object_agg(r.scope, jsonb_build_object('document', r.document, 'version', r.version))
    into state
    from states_read(of_session_id, of_app_id, of_user_id) as r
    where patches ? r.scope;
end
$$;

grant select, insert, update on session_states, user_states, application_states to amplifier_app;

comment on table session_states is 'Documents of sessions, one row per session that has one. Written by the service under the lock of the session''s row.';
comment on column session_states.session_id is 'The session';
comment on column session_states.document is 'A JSON object of at most 64 kB as text';
comment on column session_states.version is 'Number of changes; 0 as long as the document is empty and was never changed';
comment on column session_states.updated_at is 'Time of the last change, kept by statements or a trigger';
comment on table user_states is 'Documents of users, one row per user and application. Written by the service, also by appends; only the user reads it.';
comment on column user_states.user_id is 'The user';
comment on column user_states.app_id is 'The application through which the user reads and writes it';
comment on column user_states.document is 'A JSON object of at most 64 kB as text';
comment on column user_states.version is 'Number of changes; 0 as long as the document is empty and was never changed';
comment on column user_states.updated_at is 'Time of the last change, kept by statements or a trigger';
comment on table application_states is 'Documents of applications, one row per application that has one. Written by the service, also by appends; all users of the application read it.';
comment on column application_states.app_id is 'The application';
comment on column application_states.document is 'A JSON object of at most 64 kB as text';
comment on column application_states.version is 'Number of changes; 0 as long as the document is empty and was never changed';
comment on column application_states.updated_at is 'Time of the last change, kept by statements or a trigger';
comment on function applications_drop_states is 'Trigger: deletes the documents of an application that is deleted, and those of its users';
comment on function states_lock is 'Locks the documents of an application and of a user, in this order, and makes those that are missing. Call it before other rows are locked';
comment on function states_read is 'Returns the documents of an application, of a session and of a user in the application, one row each; version 0 if there is none';
comment on function states_patch is 'Merges patches by scope into the documents; raises the version of each that changes. The caller holds the locks of `states_lock` and that of the session''s row. Returns the documents of the scopes named, and the version and the changed names of the session''s, null unless it changed';
