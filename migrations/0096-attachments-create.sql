-- depends: 0095-retracted_messages-choose_by_index
-- Files of sessions, named by the hash of their content. The content is in `attachment_chunks`, or at `location` elsewhere. Chunks
-- are stored without compression: images and documents are compressed already.
set local lock_timeout = '5s';

create table attachments (
    session_id text collate "C" not null,
    sha256 text collate "C" not null,
    size bigint not null,
    content_type text not null,
    name text,
    location text collate "C",
    created_by_user_id text collate "C" not null,
    created_by_app_id text collate "C" not null,
    created_at timestamptz not null default clock_timestamp(),
    checked_at timestamptz not null default clock_timestamp(),
    referenced_seq bigint,
    constraint attachments_pkey primary key (session_id, sha256),
    constraint attachments_session_id_fkey foreign key (session_id) references sessions on delete cascade,
    constraint attachments_sha256_check check (sha256 ~ '^[0-9a-f]{64}$'),
    constraint attachments_size_check check (size between 1 and 1073741824),
    constraint attachments_name_length_check check (
        greatest(
            length(content_type), length(name), length(location), length(created_by_user_id), length(created_by_app_id)
        ) <= 255
    )
);

create table attachment_chunks (
    session_id text collate "C" not null,
    sha256 text collate "C" not null,
    start bigint not null,
    data bytea not null,
    constraint attachment_chunks_pkey primary key (session_id, sha256, start),
    constraint attachment_chunks_sha256_fkey foreign key (session_id, sha256) references attachments on delete cascade,
    constraint attachment_chunks_data_check check (octet_length(data) between 1 and 1048576)
);

create table attachment_removals (
    location text collate "C" not null,
    due_at timestamptz not null,
    constraint attachment_removals_pkey primary key (location),
    constraint attachment_removals_location_length_check check (length(location) <= 255)
);

alter table attachment_chunks alter column data set storage external;

create index attachments_checked_at_idx on attachments (checked_at);

create index attachments_created_by_user_id_idx on attachments (created_by_user_id) include (size);

create index attachments_location_idx on attachments (location) where location is not null;

create index attachment_removals_due_at_idx on attachment_removals (due_at);

grant select, insert, delete on attachments to amplifier_app;

grant update (checked_at, referenced_seq) on attachments to amplifier_app;

grant select, insert on attachment_chunks to amplifier_app;

grant select, insert, delete on attachment_removals to amplifier_app;

create function attachments_note_removal() returns trigger
language plpgsql
as $$
begin
    insert into public.attachment_removals (location, due_at) values (old.location, clock_timestamp())
    on conflict (location) do nothing;
    return null;
end
$$;

create trigger attachments_note_removal after delete on attachments
for each row when (old.location is not null) execute function attachments_note_removal();

comment on table attachments is 'Files of sessions, one row per content and session. Messages refer to them by amplifier:sha256/ and the hash. The service deletes those that no message refers to.';

comment on column attachments.session_id is 'The session';

comment on column attachments.sha256 is 'SHA-256 of the content, in hexadecimal';

comment on column attachments.size is 'Length of the content in bytes';

comment on column attachments.content_type is 'Media type, as it was sent';

comment on column attachments.name is 'Name of the file, as it was sent, or null';

comment on column attachments.location is 'Name of the blob with the content in Azure Blob Storage; null if the content is in attachment_chunks';

comment on column attachments.created_by_user_id is 'The user that sent the file, or that forked the session with it';

comment on column attachments.created_by_app_id is 'The application that the file was sent through';

comment on column attachments.created_at is 'Time when the file was stored';

comment on column attachments.checked_at is 'Time when the file was sent last, or when messages were searched for it last';

comment on column attachments.referenced_seq is 'Number of a message that refers to the file, as found by the last search; or null';

comment on table attachment_chunks is 'Content of attachments, in parts';

comment on column attachment_chunks.session_id is 'The session';

comment on column attachment_chunks.sha256 is 'The attachment';

comment on column attachment_chunks.start is 'Place of the first byte of the part in the content';

comment on column attachment_chunks.data is 'The part, at most 1 MiB';

comment on table attachment_removals is 'Blobs in Azure Blob Storage that may be without an attachment. A background job deletes those that are.';

comment on column attachment_removals.location is 'Name of the blob';

comment on column attachment_removals.due_at is 'Time from which on the blob is deleted if no attachment has it';

comment on function attachments_note_removal is 'Trigger: notes the blob of a deleted attachment';
