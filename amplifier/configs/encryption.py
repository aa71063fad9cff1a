"""Encrypts the secrets in configs with AES-256-GCM, under keys that are derived once, when the process starts.

`sealing.py` applies it to the JSON of configs.
"""

import base64
import binascii
import hashlib
import os
import re
from collections.abc import Callable
from typing import Any

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_PREFIX = "enc:"
_TEXT, _JSON = b"\x01", b"\x02"  # versions: the value is a text, or a number or boolean as JSON
_SEPARATORS = re.compile(r"[^a-z0-9]+")
_REFERENCE = re.compile(r"^\$\{[^{}]*\}$")
# parts of a key of a config, in lower case and without separators
_WORDS = (
    *("apikey", "secret", "password", "passwd", "passphrase", "token", "credential", "privatekey", "accesskey"),
    *("authkey", "subscriptionkey", "connectionstring"),
)
_ENDS = tuple(word + end for word in ("authorization", "cookie", "cookies") for end in ("", "header", "value"))
_BELOW = "defaultheaders"  # all headers, whatever their names
# the last five characters of a key as written: matches basic_auth and proxyAuth, not oauth
_AUTH = re.compile(r"(?:^|[^a-zA-Z0-9])(?:auth|Auth|AUTH)$|[a-z0-9]Auth$")
# keys such as max_tokens, which count tokens
_NO_SECRET = re.compile(
    "^(max|min|num|total|budget|context|prompt|completion|reasoning|thinking|input|output|new|cached)+tokens$"
    "|^(max|min|num)token$|tokens?(limit|budget|count|usage|window|per(second|minute|day))|tokeni[sz](er|e|ing|ation)"
)
_ID_LENGTH, _NONCE_LENGTH = 4, 12


class Keyring:
    """The keys of `CONFIG_ENCRYPTION_KEY`, separated by commas: the first encrypts, all of them decrypt.

    Each may be any text, from which scrypt derives the key. A key derived from `secret_key` comes last: it encrypts if
    there is no other, and decrypts what it encrypted before another was set.
    """

    def __init__(self, keys: str | None, secret_key: str | None = None) -> None:
        derived = [_derive(key.strip()) for key in (keys or "").split(",") if key.strip()]
        if secret_key:
            derived.append(HKDF(SHA256(), 32, None, b"amplifier config secrets").derive(secret_key.encode()))
        self._keys = {_identifier(key): AESGCM(key) for key in derived}
        self._primary = _identifier(derived[0]) if derived else None

    def encrypt(self, config: dict[str, Any], context: str) -> dict[str, Any]:
        """Returns a copy of `config` with its secrets encrypted, as `enc:...`, or `config` if there is no key.

        A secret is a text, number or boolean under a key that names one, also inside lists and objects below it.
        Encrypted values and references `${NAME}` stay as they are. `context` is the config's id: secrets decrypt only
        with the same context.
        """
        if self._primary is None:
            return config
        encrypted: dict[str, Any] = _map_scalars(config, lambda value: self._encrypt(value, context), names_secret)
        return encrypted

    def keep(self, config: Any, former: Any, context: str) -> Any:
        """Returns a copy of an encrypted config with the encrypted text of `former` where that means the same.

        The same value encrypts to another text each time. A text of `former` under another key than the first is not
        kept, so that a config that is written again can be encrypted under a new key.
        """
        if isinstance(config, dict) and isinstance(former, dict):
            return {key: self.keep(value, former.get(key), context) for key, value in config.items()}
        if isinstance(config, list) and isinstance(former, list):
            return [self.keep(*pair, context) for pair in zip(config, former, strict=False)] + config[len(former) :]
        if isinstance(config, str) and isinstance(former, str) and self._means(config, former, context):
            return former
        return config

    def _means(self, text: str, former: str, context: str) -> bool:
        """Returns whether two encrypted texts have the same value, the second under the first key."""
        blob = _decode(former)
        if blob is None or blob[1 : 1 + _ID_LENGTH] != self._primary:
            return False
        value, wanted = self._open(former, context), self._open(text, context)
        return value is not None and type(value) is type(wanted) and value == wanted

    def decrypt(self, config: dict[str, Any], context: str) -> dict[str, Any]:
        """Returns a copy of `config` with its secrets decrypted. A value that no key decrypts stays as it is.

        Looks at all values, since a key that names no secret today may have named one when the config was stored.
        """
        decrypted: dict[str, Any] = _map_scalars(config, lambda value: self._decrypt(value, context), lambda _: True)
        return decrypted

    def holds(self, config: dict[str, Any], context: str) -> bool:
        """Returns whether a value in `config` is encrypted under one of the keys."""
        return self.decrypt(config, context) != config

    def _encrypt(self, value: Any, context: str) -> Any:
        if value is None:
            return None
        is_text = isinstance(value, str)
        if is_text and (_REFERENCE.match(value) or self._open(value, context) is not None):
            return value
        assert self._primary is not None  # noqa: S101
        version, clear = (_TEXT, value.encode()) if is_text else (_JSON, msgspec.json.encode(value))
        nonce = os.urandom(_NONCE_LENGTH)
        sealed = self._keys[self._primary].encrypt(nonce, clear, _bound(context, version))
        return _encode(version + self._primary + nonce + sealed)

    def _decrypt(self, value: Any, context: str) -> Any:
        opened = self._open(value, context) if isinstance(value, str) else None
        return value if opened is None else opened

    def _open(self, text: str, context: str) -> Any:
        """Returns the value that `encrypt` made into `text`; None for any other text, even if it begins with `enc:`."""
        if (blob := _decode(text)) is None:
            return None
        try:
            version, identifier = blob[:1], blob[1 : 1 + _ID_LENGTH]
            if version not in (_TEXT, _JSON) or identifier not in self._keys:
                return None
            nonce, sealed = blob[1 + _ID_LENGTH :][:_NONCE_LENGTH], blob[1 + _ID_LENGTH + _NONCE_LENGTH :]
            clear = self._keys[identifier].decrypt(nonce, sealed, _bound(context, version))
            return clear.decode() if version == _TEXT else msgspec.json.decode(clear)
        except (InvalidTag, ValueError):
            return None


def _bound(context: str, version: bytes) -> bytes:
    """Returns AES-GCM's associated data, which ties a value to its config and version."""
    return context.encode() if version == _TEXT else context.encode() + b"\0" + version


def _encode(blob: bytes) -> str:
    return _PREFIX + base64.urlsafe_b64encode(blob).decode()


def _decode(text: str) -> bytes | None:
    """Returns the bytes that `_encode` made into `text`, or None for any other text."""
    if not text.startswith(_PREFIX):
        return None
    try:
        blob = base64.urlsafe_b64decode(text[len(_PREFIX) :].encode())
    except (binascii.Error, ValueError):
        return None
    return blob if _encode(blob) == text else None  # the decoder ignores unknown characters, and unused bits at the end


def _derive(key: str) -> bytes:
    return hashlib.scrypt(key.encode(), salt=b"amplifier config secrets", n=2**14, r=8, p=1, dklen=32)


def _identifier(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()[:_ID_LENGTH]


def names_secret(key: str) -> bool:
    """Returns whether the value under this key of a config is a secret."""
    plain = _SEPARATORS.sub("", key.lower())
    if plain.endswith(_ENDS) or plain == _BELOW or _AUTH.search(key[-5:]):
        return True
    if not any(word in plain for word in _WORDS):
        return False
    plain = _NO_SECRET.sub(" ", plain)
    return any(word in plain for word in _WORDS)


def _map_scalars(value: Any, change: Callable[[Any], Any], names: Callable[[str], bool], named: bool = False) -> Any:
    """Returns a copy of `value` in which `change` has replaced all scalars below a key that `names` accepts."""
    if isinstance(value, dict):
        return {key: _map_scalars(item, change, names, named or names(key)) for key, item in value.items()}
    if isinstance(value, list):
        return [_map_scalars(item, change, names, named) for item in value]
    return change(value) if named else value
