"""Converts configs to the JSON that is stored and back: checks bounds, encrypts and decrypts secrets.

Large configs are processed in a thread, since their encryption would delay other requests.
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
_ENCRYPTED = b'"enc:'  # the start of an encrypted value in JSON


async def sealed(keyring: Keyring, config: dict[str, Any], config_id: str, former: msgspec.Raw | None = None) -> bytes:
    """Returns the JSON of a config with its secrets encrypted. Raises Problem 422 if the config is too large.

    `former` is the config as it is stored: a secret that it has at the same place keeps its encrypted text, so that a
    config that is written again stays the same.
    """
    clear = msgspec.json.encode(config)
    check_size(clear)
    text = await _worked(clear, lambda: msgspec.json.encode(keyring.encrypt(config, config_id)))
    if former is not None and text != clear:
        text = await _worked(former, lambda: msgspec.json.encode(_kept(keyring, text, former, config_id)))
    check_size(text)
    return text


def _kept(keyring: Keyring, text: bytes, former: msgspec.Raw, config_id: str) -> Any:
    return keyring.keep(json_numbers.read(text), json_numbers.read(former), config_id)


async def sealed_again(keyring: Keyring, text: msgspec.Raw, config_id: str) -> bytes | None:
    """Returns the JSON of a stored config with all secrets encrypted, or None if they are encrypted already.

    Raises Problem 422 if the config is too large.
    """
    config = json_numbers.read(text)
    check_bounds(config)
    found = await _worked(text, lambda: keyring.encrypt(config, config_id))
    return None if found == config else msgspec.json.encode(found)


async def opened(keyring: Keyring, text: msgspec.Raw, config_id: str, decrypt: bool) -> tuple[Any, bool]:
    """Returns a stored config, with its secrets decrypted if `decrypt` is true, and whether any of them is encrypted.

    Accepts configs of any size, since some were stored before there were bounds. Returns the stored text where nothing
    has to be decrypted.
    """
    if _ENCRYPTED not in bytes(text):
        return text, False
    config = await _worked(text, lambda: json_numbers.read(text))
    clear = await _worked(text, lambda: keyring.decrypt(config, config_id))
    return clear if decrypt else text, clear != config


async def _worked(text: bytes | msgspec.Raw, work: Callable[[], _Result]) -> _Result:
    return work() if len(memoryview(text)) < _IN_THREAD_FROM else await asyncio.to_thread(work)
