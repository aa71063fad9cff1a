"""Encryption of secrets inside configs, at rest: AES-256-GCM under keys derived once, at start."""

import base64
import binascii
import hashlib
import os
import re
from collections.abc import Callable
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_PREFIX = "enc:"
_VERSION = b"\x01"
_REFERENCE = re.compile(r"^\$\{[^{}]*\}$")
_WORDS = ("apikey", "secret", "password", "token", "credential", "privatekey", "accesskey")
# max_tokens and its kin count tokens, they are none
_QUANTITY = re.compile(r"(max|min|total|budget|context|prompt|completion|reasoning|thinking|input|output|new)+tokens")
_ID_LENGTH, _NONCE_LENGTH = 4, 12


class Keyring:
    """The keys of `CONFIG_ENCRYPTION_KEY`, separated by commas: the first encrypts, all of them decrypt.

    Each may be any text; scrypt makes the key of it, once, when the process starts.
    """

    def __init__(self, keys: str | None) -> None:
        derived = [_derive(key.strip()) for key in (keys or "").split(",") if key.strip()]
        self._keys = {_identifier(key): AESGCM(key) for key in derived}
        self._primary = _identifier(derived[0]) if derived else None

    def encrypt(self, config: dict[str, Any], context: str) -> dict[str, Any]:
        """`config` with its secrets as `enc:...`, readable only in the same `context` (the config's id).

        A secret is a string under a key that names one, also inside lists and objects below it. What is encrypted
        already stays, and `${NAME}` stays. Without a key nothing changes.
        """
        if self._primary is None:
            return config
        return self._map(config, lambda text: self._encrypt(text, context))

    def decrypt(self, config: dict[str, Any], context: str) -> dict[str, Any]:
        """`config` with its secrets in clear; what no key of ours opens stays as it is."""
        return self._map(config, lambda text: self._decrypt(text, context))

    def holds(self, config: dict[str, Any], context: str) -> bool:
        """Whether something in `config` is encrypted under a key of ours."""
        return self.decrypt(config, context) != config

    @staticmethod
    def _map(config: dict[str, Any], change: Callable[[str], str]) -> dict[str, Any]:
        return {key: _map_secrets(value, change, names_secret(key)) for key, value in config.items()}

    def _encrypt(self, text: str, context: str) -> str:
        if _REFERENCE.match(text) or self._open(text, context) is not None:
            return text
        assert self._primary is not None  # noqa: S101
        nonce = os.urandom(_NONCE_LENGTH)
        sealed = self._keys[self._primary].encrypt(nonce, text.encode(), context.encode())
        return _encode(_VERSION + self._primary + nonce + sealed)

    def _decrypt(self, text: str, context: str) -> str:
        opened = self._open(text, context)
        return text if opened is None else opened

    def _open(self, text: str, context: str) -> str | None:
        """The clear text of a value of ours; none for anything else, also for what merely begins with `enc:`."""
        if not text.startswith(_PREFIX):
            return None
        try:
            blob = base64.urlsafe_b64decode(text[len(_PREFIX) :].encode())
            if _encode(blob) != text:  # the decoder overlooks what it does not know, and unused bits at the end
                return None
            version, identifier = blob[:1], blob[1 : 1 + _ID_LENGTH]
            if version != _VERSION or identifier not in self._keys:
                return None
            nonce, sealed = blob[1 + _ID_LENGTH :][:_NONCE_LENGTH], blob[1 + _ID_LENGTH + _NONCE_LENGTH :]
            return self._keys[identifier].decrypt(nonce, sealed, context.encode()).decode()
        except (binascii.Error, InvalidTag, ValueError):
            return None


def _encode(blob: bytes) -> str:
    return _PREFIX + base64.urlsafe_b64encode(blob).decode()


def _derive(key: str) -> bytes:
    return hashlib.scrypt(key.encode(), salt=b"amplifier config secrets", n=2**14, r=8, p=1, dklen=32)


def _identifier(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()[:_ID_LENGTH]


def names_secret(key: str) -> bool:
    """Whether what stands under this key of a config is a secret."""
    plain = re.sub(r"[^a-z0-9]", "", key.lower())
    return any(word in plain for word in _WORDS) and not _QUANTITY.fullmatch(plain)


def _map_secrets(value: Any, change: Callable[[str], str], secret: bool) -> Any:
    if isinstance(value, dict):
        return {key: _map_secrets(item, change, secret or names_secret(key)) for key, item in value.items()}
    if isinstance(value, list):
        return [_map_secrets(item, change, secret) for item in value]
    return change(value) if secret and isinstance(value, str) else value
