"""The type of secret settings, whose text no message, log or repr shows; and all texts that logs have to mask."""

import hmac
import re
import time
import weakref
from collections.abc import Iterable, Iterator
from typing import NamedTuple, NoReturn
from urllib.parse import unquote

_SHORTEST = 8  # characters; a shorter text, such as the password `test`, is in logs by chance
_MASK = "***"
_PASSWORD = re.compile(r"://[^/?#@:]*:([^/?#@]*)@|[?&]password=([^&#]*)|(?:^|;)\s*InstrumentationKey=([^;]*)", re.I)


class Version(NamedTuple):
    """A text of a secret, the time in seconds since 1970 at which it replaced the former one, and its id in a vault."""

    text: str
    since: float = 0.0
    id: str = ""

    def __repr__(self) -> str:
        return _MASK


class Secret:
    """A text that only `reveal` shows. A rotation replaces it in all settings that hold the object.

    Of a secret that encrypts or verifies, former texts are kept, the newest version first. A new text encrypts after
    `settling` seconds, when every process has read it and can decrypt.
    """

    __slots__ = ("__weakref__", "_settling", "_versions")

    def __init__(self, *versions: str | Version, settling: float = 0.0) -> None:
        self._settling = settling
        self._versions = tuple(Version(one) if isinstance(one, str) else one for one in versions)
        _all[id(self)] = self
        _changed()

    @property
    def versions(self) -> tuple[Version, ...]:
        """The versions, the newest first."""
        return self._versions

    def replace(self, versions: Iterable[Version]) -> None:
        """Replaces all versions."""
        self._versions = tuple(versions)
        _changed()

    def reveal(self) -> str:
        """Returns the present text."""
        return self._versions[0].text

    def texts(self) -> list[str]:
        """Returns all texts: first the one that encrypts, then the others, the newest first."""
        first = self._encrypting()
        return [first.text, *(one.text for one in self._versions if one is not first)]

    def recent(self, seconds: float) -> list[str]:
        """Returns the present text, and the former ones that were replaced in the last `seconds`."""
        versions = self._versions
        if len(versions) == 1:
            return [versions[0].text]
        earliest = time.time() - seconds
        replaced = zip(versions[1:], versions, strict=False)
        return [versions[0].text, *(former.text for former, later in replaced if later.since > earliest)]

    def seconds_to_settle(self) -> float:
        """Returns the time until every process has read the present text, 0 if they have."""
        return max(0.0, self._versions[0].since + self._settling - time.time())

    def _encrypting(self) -> Version:
        settled = time.time() - self._settling
        return next((one for one in self._versions if one.since <= settled), self._versions[-1])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self.reveal().encode(), other.reveal().encode())

    __hash__ = None  # type: ignore[assignment] # the text may change

    def __repr__(self) -> str:
        return _MASK

    def __format__(self, spec: str) -> str:
        return format(_MASK, spec)

    def __copy__(self) -> "Secret":
        return self

    def __deepcopy__(self, _: object) -> "Secret":
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret cannot be pickled: its text would be readable")


_all: "weakref.WeakValueDictionary[int, Secret]" = weakref.WeakValueDictionary()
_changes = 0
_known: tuple[int, frozenset[str]] = (0, frozenset())  # the changes it is of; every line of the log asks


def known() -> frozenset[str]:
    """Returns all texts that must not be shown: secrets in use, and passwords and keys that are parts of them.

    Texts of fewer than eight characters are left out. Those of a dropped secret stay until another one changes.
    """
    global _known
    changes, texts = _known
    if changes != _changes:
        changes = _changes
        parts = (part for secret in list(_all.values()) for text in secret.texts() for part in _parts(text))
        texts = frozenset(part for part in parts if len(part) >= _SHORTEST)
        _known = changes, texts
    return texts


def _changed() -> None:
    global _changes
    _changes += 1


def _parts(text: str) -> Iterator[str]:
    """Yields a secret, the items of a list of secrets, and the secrets in an address or a connection string."""
    yield text
    yield from (item.strip() for item in text.split(","))
    for found in _PASSWORD.findall(text):
        yield from (part for group in found for part in (group, unquote(group)))
