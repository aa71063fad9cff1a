-- name: create(actor_id, actor_app_id, import_id, process_id, filename, format, config_id, size)^
-- Creates an import of the caller's. Returns no row if another one of the caller's is running.
-- @param  actor_id      user_id of the caller, the owner of its sessions
-- @param  actor_app_id  the calling application
-- @param  import_id     its id
-- @param  process_id    the process that reads it
-- @param  filename      name of the file, or null
-- @param  format        name of a format, or auto
-- @param  config_id     config of its sessions, or null
-- @param  size          bytes that were sent
-- @return Import | none
-- @access self
-- @shards local
-- @index  imports_user_id_status_idx
insert into imports (import_id, user_id, app_id, process_id, filename, format, config_id, size)
values (:import_id, :actor_id, :actor_app_id, :process_id, :filename, :format, :config_id, :size)
on conflict (user_id) where status = 'running' do nothing
returning
    import_id,
    user_id,
    status,
    filename,
    format,
    config_id,
    size,
    bytes_read,
    bytes_total,
    counts,
    remarks,
    losses,
    notes,
    detail,
    created_at,
    finished_at;


-- name: get(actor_id, import_id)^
-- One import of the caller's.
-- @param  actor_id   user_id of the caller
-- @param  import_id  the import
-- @return Import | none
-- @access owner
-- @shards local
-- @index  imports_pkey
select
    import_id,
    user_id,
    status,
    filename,
    format,
    config_id,
    size,
    bytes_read,
    bytes_total,
    counts,
    remarks,
    losses,
    notes,
    detail,
    created_at,
    finished_at
from imports
where
    import_id = :import_id
    and user_id = :actor_id;


-- name: list(actor_id, before_created_at, before_import_id, limit)
-- Lists the caller's imports without their remarks, the newest first.
-- @param  actor_id           user_id of the caller
-- @param  before_created_at  position of the last row of the page before
-- @param  before_import_id   the same
-- @param  limit              rows at most
-- @return ImportSummary[]
-- @access owner
-- @shards local
-- @index  imports_user_id_idx
select
    import_id,
    user_id,
    status,
    filename,
    format,
    config_id,
    size,
    bytes_read,
    bytes_total,
    counts,
    losses,
    notes,
    detail,
    created_at,
    finished_at
from imports
where
    user_id = :actor_id
    and (created_at, import_id) < (:before_created_at, :before_import_id::text)
order by
    created_at desc,
    import_id desc
limit :limit;


-- name: cancel(actor_id, import_id)^
-- Asks the process that reads an import of the caller's to stop. One that has ended stays as it is.
-- @param  actor_id   user_id of the caller
-- @param  import_id  the import
-- @return Import | none
-- @access owner
-- @shards local
-- @index  imports_pkey
update imports
set cancelled_at = case when status = 'running' then coalesce(cancelled_at, clock_timestamp()) else cancelled_at end
where
    import_id = :import_id
    and user_id = :actor_id
returning
    import_id,
    user_id,
    status,
    filename,
    format,
    config_id,
    size,
    bytes_read,
    bytes_total,
    counts,
    remarks,
    losses,
    notes,
    detail,
    created_at,
    finished_at;


-- name: keep(import_id, process_id, bytes_read, bytes_total, counts)$
-- Records the progress of an import that this process reads. Returns whether it was cancelled, nothing if it has ended.
-- @param  import_id    the import
-- @param  process_id   this process
-- @param  bytes_read   bytes of its files that are read
-- @param  bytes_total  bytes of its files, or null
-- @param  counts       a JSON object of counts by tool
-- @return value
-- @access system
-- @shards local
-- @index  imports_pkey
update imports
set
    bytes_read = :bytes_read,
    bytes_total = :bytes_total,
    counts = :counts,
    seen_at = clock_timestamp()
where
    import_id = :import_id
    and process_id = :process_id
    and status = 'running'
returning cancelled_at is not null as is_cancelled;


-- name: finish(import_id, process_id, status, bytes_read, bytes_total, counts, remarks, losses, notes, detail)!
-- Ends an import that this process has read.
-- @param  import_id    the import
-- @param  process_id   this process
-- @param  status       done, failed, cancelled or interrupted
-- @param  bytes_read   bytes of its files that were read
-- @param  bytes_total  bytes of its files, or null
-- @param  counts       a JSON object of counts by tool
-- @param  remarks      a JSON array of remarks
-- @param  losses       number of lines and files that did not become what they should
-- @param  notes        number of other remarks
-- @param  detail       why it failed or was interrupted, or null
-- @return row count
-- @access system
-- @shards local
-- @index  imports_pkey
update imports
set
    status = :status,
    bytes_read = :bytes_read,
    bytes_total = :bytes_total,
    counts = :counts,
    remarks = :remarks,
    losses = :losses,
    notes = :notes,
    detail = :detail,
    seen_at = clock_timestamp(),
    finished_at = clock_timestamp()
where
    import_id = :import_id
    and process_id = :process_id
    and status = 'running';


-- name: reap(seconds, detail, limit)!
-- Ends imports of dead processes.
-- @param  seconds  time without a sign of life
-- @param  detail   what their users should do
-- @param  limit    rows at most
-- @return row count
-- @access system
-- @shards local
-- @index  imports_user_id_status_idx
with abandoned_imports as (
    select import_id
    from imports
    where
        status = 'running'
        and seen_at < clock_timestamp() - :seconds::double precision * interval '1 second'
    limit :limit
    for update skip locked
)

update imports as i
set
    status = 'interrupted',
    detail = :detail,
    finished_at = clock_timestamp()
from abandoned_imports as a
where i.import_id = a.import_id;


-- name: sweep(limit)!
-- Deletes imports that began more than 30 days ago.
-- @param  limit  rows at most
-- @return row count
-- @access system
-- @shards local
-- @index  imports_created_at_idx
with expired_rows as (
    select import_id
    from imports
    where
        created_at < now() - interval '30 days'
        and status <> 'running'
    order by created_at
    limit :limit
    for update skip locked
)

delete from imports as i
using expired_rows as e
where i.import_id = e.import_id;
