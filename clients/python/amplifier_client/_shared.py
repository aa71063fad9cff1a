"""The clients that stores use unless they are given one."""

import functools

from ._async.client import AsyncAmplifier
from ._protocol import RETRIES, TIMEOUT, Options, options
from ._sync.client import Amplifier


def shared() -> AsyncAmplifier:
    """Returns the process's client with the settings of the environment. It stays open until the process ends."""
    return _client(options(None, None, None, None, TIMEOUT, RETRIES))


def shared_sync() -> Amplifier:
    """Returns the same as a synchronous client, which threads share."""
    return _sync_client(options(None, None, None, None, TIMEOUT, RETRIES))


@functools.lru_cache(maxsize=16)
def _client(found: Options) -> AsyncAmplifier:
    return AsyncAmplifier(found.url, api_key=found.api_key, user=found.user, token=found.token)


@functools.lru_cache(maxsize=16)
def _sync_client(found: Options) -> Amplifier:
    return Amplifier(found.url, api_key=found.api_key, user=found.user, token=found.token)
