-- depends: 0114-messages-restore_headlines_at_once
-- Imports that were sent to the service. The process that received one reads it, and writes its progress into the row; a row
-- that was not written for longer belongs to a process that died.
set local lock_timeout = '5s';

create table imports (
    import_id text collate "C" not null,
    user_id text collate "C" not null,
    app_id text collate "C" not null,
    process_id text collate "C" not null,
    status text collate "C" not null default 'running',
    filename text collate "C",
    format text collate "C" not null,
    config_id text collate "C",
    size bigint not null,
    bytes_read bigint not null default 0,
    bytes_total bigint,
    counts jsonb not null default '{}',
    remarks jsonb not null default '[]',
    losses bigint not null default 0,
    notes bigint not null default 0,
    detail text,
    created_at timestamptz not null default clock_timestamp(),
    seen_at timestamptz not null default clock_timestamp(),
    cancelled_at timestamptz,
    finished_at timestamptz,
    constraint imports_pkey primary key (import_id),
    constraint imports_user_id_length_check check (
        greatest(length(import_id), length(user_id), length(app_id), length(process_id), length(filename)) <= 255
    ),
    constraint imports_format_length_check check (greatest(length(format), length(config_id)) <= 255),
    constraint imports_detail_length_check check (length(detail) <= 2000),
    constraint imports_status_check check (status in ('running', 'done', 'failed', 'cancelled', 'interrupted')),
    constraint imports_finished_at_check check ((status = 'running') = (finished_at is null)),
    constraint imports_counts_check check (jsonb_typeof(counts) = 'object'),
    constraint imports_remarks_check check (jsonb_typeof(remarks) = 'array')
) with (fillfactor = 50);

-- a user has one at a time
create unique index imports_user_id_status_idx on imports (user_id) where status = 'running';

create index imports_user_id_idx on imports (user_id, created_at, import_id);

create index imports_created_at_idx on imports (created_at);

create trigger imports_counts_size_check before insert or update of counts on imports
for each row when (octet_length(new.counts::text) > 65536) execute function refuse_value('counts');

create trigger imports_remarks_size_check before insert or update of remarks on imports
for each row when (octet_length(new.remarks::text) > 2097152) execute function refuse_value('remarks');

grant select, insert, update, delete on imports to amplifier_app;

comment on table imports is 'Imports that were sent to the service, one row each, deleted 30 days after they began';

comment on column imports.import_id is 'Id of the import';

comment on column imports.user_id is 'User who sent it, the owner of its sessions';

comment on column imports.app_id is 'Application through which it was sent';

comment on column imports.process_id is 'Process that reads it';

comment on column imports.status is 'running, done, failed, cancelled, or interrupted because its process ended';

comment on column imports.filename is 'Name of the file that was sent, if the client gave one';

comment on column imports.format is 'Format that was asked for, or auto';

comment on column imports.config_id is 'Config with which agents continue its sessions';

comment on column imports.size is 'Bytes that were sent';

comment on column imports.bytes_read is 'Bytes of its files that are read';

comment on column imports.bytes_total is 'Bytes of its files, null until they are known';

comment on column imports.counts is 'By tool: files, sessions that are new, grown, forked or the same, and messages';

comment on column imports.remarks is 'At most 1,000 remarks about files and lines, those about losses first';

comment on column imports.losses is 'Number of lines and files that did not become what they should';

comment on column imports.notes is 'Number of remarks that are no losses';

comment on column imports.detail is 'Why it failed or was interrupted';

comment on column imports.created_at is 'Time when it was received';

comment on column imports.seen_at is 'Time when its process last wrote this row';

comment on column imports.cancelled_at is 'Time when its user cancelled it';

comment on column imports.finished_at is 'Time when it ended';
