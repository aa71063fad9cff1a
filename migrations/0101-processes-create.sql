-- depends: 0100-runs-create_usage_view
-- The processes that serve this database. Each writes its row every few seconds and deletes it when it stops; a row that was not
-- written for longer belongs to a process that died. Unlogged: after a crash of the database the processes write their rows again.
set local lock_timeout = '5s';

create unlogged table processes (
    process_id text collate "C" not null,
    name text collate "C" not null,
    version text collate "C" not null,
    queries_hash text collate "C" not null,
    started_at timestamptz not null,
    seen_at timestamptz not null default clock_timestamp(),
    is_accepting boolean not null,
    runs bigint not null,
    streams bigint not null,
    connections bigint not null,
    connections_in_use bigint not null,
    most_connections bigint not null,
    constraint processes_pkey primary key (process_id),
    constraint processes_process_id_length_check check (
        greatest(length(process_id), length(name), length(version), length(queries_hash)) <= 255
    )
) with (fillfactor = 50);

grant select, insert, update, delete on processes to amplifier_app;

comment on table processes is 'Processes that serve this database, one row each. Every process writes its row each ten seconds and deletes it when it stops.';

comment on column processes.process_id is 'Id of the process, as in runs and streams';

comment on column processes.name is 'Host and number of the process, as in GET /health/queries';

comment on column processes.version is 'Version of the service';

comment on column processes.queries_hash is 'Hash of the queries that the process serves';

comment on column processes.started_at is 'Time when the process began to serve';

comment on column processes.seen_at is 'Time when the process last wrote this row';

comment on column processes.is_accepting is 'False when the process is about to stop';

comment on column processes.runs is 'Number of runs of agents that the process executes';

comment on column processes.streams is 'Number of streams and sockets that the process has open';

comment on column processes.connections is 'Number of connections of its pool';

comment on column processes.connections_in_use is 'Number of those that are in use';

comment on column processes.most_connections is 'Number of connections that its pool may have, DATABASE_POOL_MAX_SIZE';
