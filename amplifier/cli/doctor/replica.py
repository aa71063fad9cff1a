"""Checks of the read replica: it can be reached, follows the primary, and is not far behind."""

from amplifier.cli.doctor.findings import Fault, Outcome, ok, skipped, warning
from amplifier.cli.doctor.target import Target
from amplifier.database.connections import ROLE, open_bare

_NAME = "amplifier-api doctor"  # the application_name of its connection
_CONNECTING = 5.0  # seconds
_MOST_BEHIND = 1.0  # seconds; a replica that is behind for longer answers few reads
_CLUSTER = "select system_identifier from pg_control_system()"
_STATE = """
select
    pg_is_in_recovery() as is_standby,
    current_setting('hot_standby_feedback') as feedback,
    case
        when pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() then 0
        else coalesce(extract(epoch from clock_timestamp() - pg_last_xact_replay_timestamp()), 0)
    end::double precision as seconds
"""


async def follows(target: Target) -> Outcome:
    """Examines the server of DATABASE_READ_URL. Without it, the primary answers everything."""
    settings = target.settings
    if settings.read_dsn is None:
        return skipped("because DATABASE_READ_URL is not set")
    remedy = "correct DATABASE_READ_URL, which names one standby of the primary; until then the primary answers all"
    try:
        connection = await open_bare(settings, settings.read_dsn, _NAME, _CONNECTING)
    except Exception as error:
        raise Fault("the replica cannot be reached", str(error) or repr(error), remedy) from error
    try:
        state = await connection.fetchrow(_STATE)
        cluster = await connection.fetchval(_CLUSTER)
        await connection.execute(f"set role {ROLE}")
    finally:
        connection.terminate()
    assert state is not None  # noqa: S101
    if not state["is_standby"]:
        raise Fault("the server is a primary", "it replays nothing, so it answers nothing", remedy)
    if cluster != await target.pool.fetchval(_CLUSTER):
        raise Fault("the server is a standby", "it is one of another cluster than the primary", remedy)
    seen = f"a standby of the primary, {state['seconds']:.1f} s behind, hot_standby_feedback = {state['feedback']}"
    if state["seconds"] > _MOST_BEHIND:
        return warning(seen, "the primary answers reads while the replica is behind", "give it faster disks or cores")
    if state["feedback"] == "off":
        return warning(
            seen,
            "vacuum on the primary cancels reads of the replica, which the primary then answers",
            "on the replica:\nalter system set hot_standby_feedback = on;\nselect pg_reload_conf();",
        )
    return ok(seen)
