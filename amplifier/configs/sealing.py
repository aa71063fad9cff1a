"""Configs on their way to the database and back: within their bounds, their secrets encrypted.

Large ones are worked on in a thread, where encryption would hold up other requests.
"""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from amplifier import json_numbers
from amplifier.configs.encryption import Keyring
from amplifier.configs.validation import check_bounds, check_size

_Result = TypeVar("_Result")
_IN_THREAD_FROM = 64 * 1024  # bytes
_ENCRYPTED = b'"enc:'  # how an encrypted value begins in JSON


async def sealed(keyring: Keyring, config: dict[str, Any], config_id: str) -> bytes:
    """The JSON of a config with its secrets encrypted. Raises Problem 422 for one that is too large."""
    clear = msgspec.json.encode(config)
    check_size(clear)
    text = await _worked(clear, lambda: msgspec.json.encode(keyring.encrypt(config, config_id)))
    check_size(text)
    return text


async def sealed_again(keyring: Keyring, text: msgspec.Raw, config_id: str) -> bytes | None:
    """The JSON of a stored config with the secrets encrypted that are in clear in it; None if there are none.

    Raises Problem 422 for a config that is too large.
    """
    config = json_numbers.read(text)
    check_bounds(config)
    found = await _worked(text, lambda: keyring.encrypt(config, config_id))
    return None if found == config else msgspec.json.encode(found)


async def opened(keyring: Keyring, text: msgspec.Raw, config_id: str, decrypt: bool) -> tuple[Any, bool]:
    """A stored config as it is shown, its secrets in clear if wanted, and whether any of them is encrypted.

    A config of any size, also one that was stored before there were bounds, is sent as it is stored where possible.
    """
    if _ENCRYPTED not in bytes(text):
        return text, False
    config = await _worked(text, lambda: json_numbers.read(text))
    clear = await _worked(text, lambda: keyring.decrypt(config, config_id))
    return clear if decrypt else text, clear != config


async def _worked(text: bytes | msgspec.Raw, work: Callable[[], _Result]) -> _Result:
    return work() if len(memoryview(text)) < _IN_THREAD_FROM else await asyncio.to_thread(work)
