"""The parts of the service that the runs of a process share."""

from typing import NamedTuple

from amplifier.attachments.store import Store
from amplifier.configs.encryption import Keyring
from amplifier.live.hub import Hub
from amplifier.queries.registry import Queries
from amplifier.runtime.attached import Room
from amplifier.runtime.kept_histories import Histories
from amplifier.runtime.secret_references import Secrets
from amplifier.settings import Settings
from amplifier.transcripts.scrubber import Scrubber


class Host(NamedTuple):
    """The dependencies of every run in this process."""

    queries: Queries
    hub: Hub
    keyring: Keyring
    scrubber: Scrubber
    settings: Settings
    secret: Secrets
    store: Store
    room: Room
    histories: Histories
