"""The parts of the service that the runs of a process share."""

from typing import NamedTuple

from amplifier.configs.encryption import Keyring
from amplifier.live.hub import Hub
from amplifier.queries.registry import Queries
from amplifier.runtime.secret_references import Secrets
from amplifier.settings import Settings


class Host(NamedTuple):
    """The dependencies of every run in this process."""

    queries: Queries
    hub: Hub
    keyring: Keyring
    settings: Settings
    secret: Secrets
