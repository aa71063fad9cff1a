"""The server that answers as Azure, and an environment that nothing of the user's machine reaches."""

import os
from collections.abc import Iterator

import pytest

from amplifier.azure import credential
from tests.support import entra_server
from tests.support.entra_server import EntraServer

PREFIXES = ("AZURE_", "IDENTITY_", "IMDS_", "MSI_")


@pytest.fixture
def entra(monkeypatch: pytest.MonkeyPatch) -> Iterator[EntraServer]:
    """A server that the default chain takes for the managed identity of this machine. Other credentials are absent."""
    for name in [name for name in os.environ if name.startswith(PREFIXES)]:
        monkeypatch.delenv(name)
    with entra_server.running() as server:
        for name, value in server.environ.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("PATH", "/nonexistent")  # of az and azd
        credential.shared.cache_clear()
        yield server
        credential.shared.cache_clear()
