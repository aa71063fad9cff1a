"""A standby that follows a cluster by streaming replication, and its promotion."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from amplifier.postgres import embedded
from tests.support.clusters import Cluster
from tests.support.service import wait_until

_STREAMING = "select 1 from pg_stat_replication where state = 'streaming'"
_REPLAYED = "select pg_last_wal_replay_lsn() >= %s::pg_lsn"


@contextlib.contextmanager
def standby_of(primary: Cluster, folder: Path, **options: Any) -> Iterator[Cluster]:
    """Yields a running standby of a running cluster, with its data in `folder`, and stops it at the end.

    `options` are settings of its server.
    """
    standby = Cluster(folder, primary.programs)
    standby.program(
        *("pg_basebackup", "-D", standby.data, "-d", primary.dsn, "--write-recovery-conf"),
        *("--checkpoint=fast", "--no-sync", "--wal-method=stream"),
    )
    standby.start(**options)
    try:
        wait_until(lambda: bool(primary.run(_STREAMING)))
        yield standby
    finally:
        standby.stop()


def promote(standby: Cluster) -> None:
    """Promotes a standby, and returns when it takes writes."""
    assert standby.run("select pg_promote()") == [(True,)], standby.log


def caught_up(primary: Cluster, standby: Cluster) -> None:
    """Waits until the standby has replayed all that the primary has written."""
    written = primary.run("select pg_current_wal_lsn()")[0][0]
    wait_until(lambda: standby.run(_REPLAYED, written) == [(True,)])


def url(*clusters: Cluster, role: str = embedded.ROLE) -> str:
    """Returns one address of all clusters for a role, by default for the owner of the database."""
    servers = ",".join(urlsplit(cluster.address(role)).netloc.partition("@")[2] for cluster in clusters)
    return f"postgresql://{role}@{servers}/{embedded.DATABASE}?sslmode=disable"
