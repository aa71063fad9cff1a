"""amplifier-api configs reencrypt: moves secrets in stored configs to the newest key, and shows which keys are used."""

import argparse
import math
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from amplifier.cli.target_database import opened
from amplifier.errors import OperatorError
from amplifier.settings import Settings

if TYPE_CHECKING:
    from amplifier.configs.encryption import Keyring
    from amplifier.maintenance.reencryption import Outcome

_NAMES = {"configs": "configs", "config_versions": "former versions"}


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command and its subcommand."""
    configs = commands.add_parser("configs", help="manage stored configs").add_subparsers(
        required=True, metavar="command"
    )
    reencrypt = configs.add_parser("reencrypt", help="encrypt the secrets in configs again, under the newest key")
    reencrypt.add_argument("--dry-run", action="store_true", help="change nothing, show which keys are in use")
    reencrypt.set_defaults(run=_reencrypt)


def _reencrypt(settings: Settings, arguments: argparse.Namespace) -> None:
    from rich.progress import MofNCompleteColumn, Progress, TaskID

    from amplifier.configs.encryption import Keyring
    from amplifier.maintenance import reencryption

    if not arguments.dry_run:
        _wait_for_processes(settings)
    keyring = Keyring(settings.encryption_keys, settings.derivation_keys)
    if keyring.primary is None:
        raise OperatorError("there is no key: set CONFIG_ENCRYPTION_KEY or SECRET_KEY to those of the service")
    tasks: dict[str, TaskID] = {}
    with opened(settings) as dsn, Progress(*Progress.get_default_columns(), MofNCompleteColumn()) as bar:

        def report(table: str, seen: int, total: int) -> None:
            if table not in tasks:
                tasks[table] = bar.add_task(_NAMES[table])
            bar.update(tasks[table], completed=seen, total=total)

        outcome = reencryption.reencrypt(dsn, keyring, report, arguments.dry_run)
    print("\n".join(_lines(keyring, outcome, arguments.dry_run)))
    if outcome.unreadable or outcome.busy:
        sys.exit(1)


def _wait_for_processes(settings: Settings) -> None:
    """Waits until the newest key encrypts: until then some process may not have read it and could not decrypt."""
    secret = settings.config_encryption_key or settings.secret_key
    if (seconds := secret.seconds_to_settle()) > 0:
        wait = math.ceil(seconds)
        print(f"the newest key is young: waiting {wait} s, until every process has read it", file=sys.stderr)
        time.sleep(seconds)


def _lines(keyring: "Keyring", outcome: "Outcome", dry_run: bool) -> Iterator[str]:
    moved = " and ".join(f"{number} {_NAMES[table]}" for table, number in outcome.moved.items())
    former = any(uses.keys() - {keyring.primary} for uses in outcome.uses.values())
    if not dry_run and moved:
        yield f"encrypted again: {moved}"
    elif not former:
        yield "nothing to do: all secrets are under the key that encrypts"
    names = keyring.names
    used = sorted({key for uses in outcome.uses.values() for key in uses} | names.keys(), key=lambda key: key.hex())
    yield f"{'key':<10}{'secrets in configs':>20}{'in former versions':>20}  "
    for key in [*names, *(key for key in used if key not in names)]:
        counts = "".join(f"{outcome.uses[table][key]:>20}" for table in _NAMES)
        yield f"{key.hex():<10}{counts}  {names.get(key, 'unknown: no key that is set decrypts them')}"
    for row in outcome.unreadable:
        yield f"left as it is, no key that is set decrypts it: {row}"
    for row in outcome.busy:
        yield f"left as it is, it changed or was locked all the time: {row}; run it again"
