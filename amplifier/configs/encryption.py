"""Encrypts the secrets in configs with AES-256-GCM, under keys that are derived when they are new to the process.

`sealing.py` applies it to the JSON of configs.
"""

import base64
import binascii
import hashlib
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

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
_ID_LENGTH, _NONCE_LENGTH, _TAG_LENGTH = 4, 12, 16
_SHORTEST_BLOB = 1 + _ID_LENGTH + _NONCE_LENGTH + _TAG_LENGTH
# an encrypted value in JSON, which has no character that JSON escapes; keys of objects are followed by a colon
_ENCRYPTED = re.compile(rf'"({_PREFIX}[A-Za-z0-9_=-]+)"(?!\s*:)')


class Moved(NamedTuple):
    """The JSON text of a config, and the number of secrets that each key had encrypted, known and unknown ones."""

    text: str
    found: Counter[bytes]
    unknown: Counter[bytes]


class Keyring:
    """The keys of `CONFIG_ENCRYPTION_KEY`: the first encrypts, all of them decrypt.

    Each may be any text, from which scrypt derives the key. Keys derived from `secret_keys` come last: the first of
    them encrypts if there is no other, and they decrypt what they encrypted before another was set.
    """

    def __init__(self, keys: Iterable[str], secret_keys: Iterable[str] = ()) -> None:
        self._derived: dict[tuple[bool, str], bytes] = {}
        self._keys: dict[bytes, AESGCM] = {}
        self._primary: tuple[bytes, AESGCM] | None = None
        self.renew(keys, secret_keys)

    def renew(self, keys: Iterable[str], secret_keys: Iterable[str] = ()) -> None:
        """Replaces the keys after a rotation, while other threads encrypt and decrypt."""
        named = [(False, key) for key in keys] + [(True, key) for key in secret_keys]
        self._derived = {one: self._derived.get(one) or _derive(*one) for one in named}
        ring = {_identifier(key): AESGCM(key) for key in self._derived.values()}
        self._keys, self._primary = ring, next(iter(ring.items()), None)

    @property
    def names(self) -> dict[bytes, str]:
        """The source of each key by its identifier, the key that encrypts first."""
        names: dict[bytes, str] = {}
        for (is_secret_key, _), key in self._derived.items():
            source = "SECRET_KEY" if is_secret_key else "CONFIG_ENCRYPTION_KEY"
            names.setdefault(_identifier(key), f"{source}, {'a former one' if names else 'encrypts'}")
        return names

    @property
    def primary(self) -> bytes | None:
        """The identifier of the key that encrypts."""
        return self._primary and self._primary[0]

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
        if blob is None or blob[1 : 1 + _ID_LENGTH] != self.primary:
            return False
        value, wanted = self._open(former, context), self._open(text, context)
        return value is not None and type(value) is type(wanted) and value == wanted

    def decrypt(self, config: dict[str, Any], context: str) -> dict[str, Any]:
        """Returns a copy of `config` with its secrets decrypted. A value that no key decrypts stays as it is.

        Looks at all values, since a key that names no secret today may have named one when the config was stored.
        """
        decrypted: dict[str, Any] = _map_scalars(config, lambda value: self._decrypt(value, context), lambda _: True)
        return decrypted

    def moved(self, text: str, context: str) -> "Moved":
        """Returns the JSON text of a config with each secret that another key encrypted under the first one.

        Nothing else of the text changes, not even the form of a number.
        """
        found, unknown = Counter[bytes](), Counter[bytes]()

        def again(match: re.Match[str]) -> str:
            value, blob = match[1], _decode(match[1])
            if blob is None or blob[:1] not in (_TEXT, _JSON) or len(blob) < _SHORTEST_BLOB:
                return match[0]
            identifier, clear = blob[1 : 1 + _ID_LENGTH], self._open(value, context)
            (unknown if clear is None else found)[identifier] += 1
            if clear is None or identifier == self.primary:
                return match[0]
            return f'"{self._encrypt(clear, context)}"'

        return Moved(_ENCRYPTED.sub(again, text), found, unknown)

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
        identifier, cipher = self._primary
        version, clear = (_TEXT, value.encode()) if is_text else (_JSON, msgspec.json.encode(value))
        nonce = os.urandom(_NONCE_LENGTH)
        sealed = cipher.encrypt(nonce, clear, _bound(context, version))
        return _encode(version + identifier + nonce + sealed)

    def _decrypt(self, value: Any, context: str) -> Any:
        opened = self._open(value, context) if isinstance(value, str) else None
        return value if opened is None else opened

    def _open(self, text: str, context: str) -> Any:
        """Returns the value that `encrypt` made into `text`; None for any other text, even if it begins with `enc:`."""
        if (blob := _decode(text)) is None:
            return None
        try:
            version, identifier = blob[:1], blob[1 : 1 + _ID_LENGTH]
            if version not in (_TEXT, _JSON) or (cipher := self._keys.get(identifier)) is None:
                return None
            nonce, sealed = blob[1 + _ID_LENGTH :][:_NONCE_LENGTH], blob[1 + _ID_LENGTH + _NONCE_LENGTH :]
            clear = cipher.decrypt(nonce, sealed, _bound(context, version))
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


def _derive(is_secret_key: bool, key: str) -> bytes:
    if is_secret_key:
        return HKDF(SHA256(), 32, None, b"amplifier config secrets").derive(key.encode())
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
