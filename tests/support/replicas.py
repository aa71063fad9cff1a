"""A streaming replica of a cluster: made, promoted, and the former primary on its way back."""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from amplifier.postgres import embedded
from amplifier.settings import SERVICE_LOGIN
from tests.support.clusters import Cluster
from tests.support.service import wait_until

_STREAMING = "select 1 from pg_stat_replication where application_name = %s and state = 'streaming'"


@contextlib.contextmanager
def replica(primary: Cluster, folder: Path, **options: Any) -> Iterator[Cluster]:
    """Yields a running streaming replica of a running cluster. `options` are settings of its server."""
    standby = Cluster(folder, primary.programs)
    how = ["--checkpoint=fast", "--wal-method=stream", "--no-sync", "-h", "127.0.0.1", "-U", embedded.ROLE]
    primary.program("pg_basebackup", "-D", standby.data, "-p", primary.port, *how)
    _follow(standby, primary)
    try:
        standby.start(**options)
        wait_until(lambda: is_streaming(primary, standby), explain=lambda: standby.log)
        yield standby
    finally:
        standby.stop()


def acknowledge_after(primary: Cluster, standby: Cluster | None) -> None:
    """Lets the primary acknowledge a commit after the standby has stored it, or alone (None)."""
    primary.run(f"alter system set synchronous_standby_names = '{'' if standby is None else _name(standby)}'")
    primary.run("select pg_reload_conf()")
    state = "async" if standby is None else "sync"
    wait_until(lambda: {row[0] for row in primary.run("select sync_state from pg_stat_replication")} == {state})


def hold_back(primary: Cluster) -> None:
    """Suspends the process that sends WAL to the standby, so that it lags until the primary is killed."""
    for (pid,) in primary.run("select pid from pg_stat_replication"):
        os.kill(pid, signal.SIGSTOP)


def promote(standby: Cluster) -> None:
    """Makes a standby the primary, and returns when it takes writes."""
    assert standby.run("select pg_promote(wait => true, wait_seconds => 30)") == [(True,)]


def rewind(former: Cluster, primary: Cluster) -> None:
    """Turns a stopped former primary into a standby of the present one. pg_rewind undoes what it alone has."""
    source = f"host=127.0.0.1 port={primary.port} user={embedded.ROLE} dbname={embedded.DATABASE}"
    primary.run("checkpoint")  # pg_rewind reads the new timeline from the control file
    former.program("pg_rewind", "-D", former.data, "--source-server", source, "--no-sync")
    _follow(former, primary)


def is_streaming(primary: Cluster, standby: Cluster) -> bool:
    """Returns whether the standby receives what the primary writes."""
    return bool(primary.run(_STREAMING, _name(standby)))


def service_dsn(*clusters: Cluster) -> str:
    """Returns the address of that cluster which takes writes, for the login of the service."""
    hosts = ",".join(urlsplit(cluster.service_dsn).netloc.partition("@")[2] for cluster in clusters)
    return f"postgresql://{SERVICE_LOGIN}@{hosts}/{embedded.DATABASE}?sslmode=disable"


def _follow(standby: Cluster, primary: Cluster) -> None:
    source = f"host=127.0.0.1 port={primary.port} user={embedded.ROLE} application_name={_name(standby)}"
    files = {
        "standby.signal": "",
        "postgresql.auto.conf": f"primary_conninfo = '{source}'\nrecovery_target_timeline = 'latest'\n",
    }
    for name, text in files.items():
        standby.write(name, text)


def _name(cluster: Cluster) -> str:
    return f"at_{cluster.port}"
