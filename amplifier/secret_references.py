"""Secrets by reference: `keyvault:NAME`, `keyvault:NAME/VERSION` and `file:PATH`. Reads them at start and again later.

The process keeps one Secret for each reference, in `HELD`. `keep_fresh` replaces the texts of those that changed.
"""

import asyncio
import contextlib
import logging
import random
import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar

from amplifier.errors import OperatorError
from amplifier.secret import Secret, Version

logger = logging.getLogger(__name__)

MOST_FORMER = 10  # former versions of a secret that encrypts; each is a request to the vault at start
_LIMIT = 30.0  # seconds for all that is read of one secret
_LARGEST = 64 * 1024  # bytes of a file
_SHORTEST = 1.0  # seconds between two looks
_SPREAD = (0.8, 1.2)  # of the interval: processes that start together do not read together
_KINDS = ("keyvault:", "file:")
_IN_VAULT = re.compile(r"([0-9A-Za-z-]{1,127})(?:/([0-9A-Za-z]{1,64}))?")

Result = TypeVar("Result")


class Unreadable(OperatorError):
    """Raised when a secret cannot be read. The message gives the reason and what to do, and no part of a secret."""


class Source(Protocol):
    """Where a reference leads."""

    fixed: bool  # whether its text never changes

    def read(self, held: tuple[Version, ...]) -> tuple[Version, ...]:
        """Returns the versions, the newest first, or `held` if nothing changed. Raises Unreadable."""


class _Held(NamedTuple):
    source: Source
    secret: Secret


class File:
    """A secret in a file, as orchestrators mount it. Versions that this process has seen are the former ones."""

    fixed = False

    def __init__(self, path: str, former: int) -> None:
        self._path, self._former = Path(path), former
        if not self._path.is_absolute():
            raise Unreadable("begins with file:, which an absolute path must follow, as in file:/run/secrets/name")

    def read(self, held: tuple[Version, ...]) -> tuple[Version, ...]:
        """Returns the file's text, without newlines at its end, as the newest version. Raises Unreadable."""
        try:
            if not self._path.is_file():
                raise Unreadable(self._refusal("does not exist" if not self._path.exists() else "is no file"))
            with self._path.open("rb") as file:
                content = file.read(_LARGEST + 1)
                changed_at = self._path.stat().st_mtime
            text = content.decode().rstrip("\r\n")
        except OSError as error:
            raise Unreadable(self._refusal(f"cannot be read ({error.strerror})")) from None
        except UnicodeDecodeError:
            raise Unreadable(self._refusal("is not UTF-8")) from None
        if len(content) > _LARGEST or not text or "\0" in text:
            fault = "is larger than 64 kB" if len(content) > _LARGEST else "has no text" if not text else "is binary"
            raise Unreadable(self._refusal(fault))
        if held and held[0].text == text:
            return held
        former = [one for one in held if one.text != text]
        return (Version(text, min(changed_at, time.time())), *former[: self._former])

    def _refusal(self, fault: str) -> str:
        return f"refers to the file {self._path}, which {fault}: mount it, readable for the service, with the secret"


def is_reference(text: str) -> bool:
    """Returns whether the value of a secret setting refers to another place."""
    return text.startswith(_KINDS)


class References:
    """The secrets that this process has read by reference."""

    def __init__(self) -> None:
        self._held: dict[tuple[str, bool], _Held] = {}
        self._reads: dict[tuple[str, bool], Future[tuple[Version, ...]]] = {}
        self._hurry: asyncio.Event | None = None

    def secret(self, reference: str, encrypts: bool, vault: str | None, settling: float) -> Secret:
        """Returns the secret at the reference, which is read once. Raises Unreadable.

        `encrypts` keeps former versions; `vault` is the vault's URL; a new text encrypts after `settling` seconds.
        """
        found = self._held.get((reference, encrypts))
        if found is None:
            source = _source(reference, MOST_FORMER if encrypts else 0, vault)
            versions = _within_limit(_in_thread(partial(source.read, ())))
            found = _Held(source, Secret(*versions, settling=settling))
            self._held[reference, encrypts] = found
        return found.secret

    def present(self, reference: str) -> str | None:
        """Returns the present text at a reference that was read as one that does not encrypt, or None."""
        found = self._held.get((reference, False))
        return found and found.secret.reveal()

    def refresh(self, accept: Callable[[Secret, Secret], None]) -> None:
        """Reads all references again, except fixed ones. Where that fails, the present text stays.

        Calls `accept` with a secret and what it is to become. If that raises OperatorError, the text stays, too.
        """
        for key, held in list(self._held.items()):
            if held.source.fixed:
                continue
            try:
                versions = self._read_again(key)
                if versions == held.secret.versions:
                    continue
                accept(held.secret, Secret(*versions))
            except OperatorError as error:
                logger.warning("%s was not read again, and its present text stays: %s", key[0], error)
                continue
            held.secret.replace(versions)
            logger.info("%s has changed and counts from now on", key[0])

    def _read_again(self, key: tuple[str, bool]) -> tuple[Version, ...]:
        """Returns the versions at a reference. Raises Unreadable, also while an earlier read of it hangs."""
        source, secret = self._held[key]
        if (earlier := self._reads.get(key)) is not None and not earlier.done():
            raise Unreadable("the read before has not ended yet")
        self._reads[key] = _in_thread(partial(source.read, secret.versions))
        return _within_limit(self._reads[key])

    async def keep_fresh(
        self, interval: float, accept: Callable[[Secret, Secret], None], applied: Callable[[], None]
    ) -> None:
        """Calls `refresh` and then `applied` in a thread, every `interval` seconds.

        Returns at once if no reference can change, and else never.
        """

        def once() -> None:
            self.refresh(accept)
            applied()

        self._hurry = asyncio.Event()
        pause = interval * random.random()  # noqa: S311
        try:
            while any(not held.source.fixed for held in self._held.values()):
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._hurry.wait()
                self._hurry.clear()
                try:
                    await asyncio.wrap_future(_in_thread(once))
                except Exception:
                    logger.exception("the secrets were not read again")
                await asyncio.sleep(shortest := min(interval / 2, _SHORTEST))
                pause = interval * random.uniform(*_SPREAD) - shortest  # noqa: S311
        finally:
            self._hurry = None

    def hurry(self) -> None:
        """Reads the references again at once, at most once a second: a server refused a secret of this process."""
        if self._hurry is not None:
            self._hurry.set()

    def forget(self) -> None:
        """Drops everything."""
        self._held.clear()
        self._reads.clear()


def _source(reference: str, former: int, vault: str | None) -> Source:
    kind, _, rest = reference.partition(":")
    if kind == "file":
        return File(rest, former)
    named = _IN_VAULT.fullmatch(rest)
    if named is None:
        raise Unreadable(
            "begins with keyvault:, which the name of a secret must follow: letters, digits and dashes, as in "
            "keyvault:NAME, or with a version as in keyvault:NAME/VERSION"
        )
    if vault is None:
        raise Unreadable(
            "refers to a key vault: set KEY_VAULT_URL to its address, such as https://name.vault.azure.net"
        )
    from amplifier.azure.key_vault import VaultSecret  # imported here: most services need none of Azure

    return VaultSecret(vault, named[1], named[2], former)


def _within_limit(work: "Future[Result]") -> Result:
    try:
        return work.result(_LIMIT)
    except TimeoutError:
        raise Unreadable(f"was not read within {_LIMIT:.0f} s: is its server reachable?") from None


def _in_thread(work: Callable[[], Result]) -> "Future[Result]":
    """Starts `work` in a thread that does not keep the process alive, and of which no other work has to wait."""
    done: Future[Result] = Future()
    done.set_running_or_notify_cancel()  # a waiter that is cancelled does not cancel the work

    def run() -> None:
        try:
            done.set_result(work())
        except BaseException as error:
            done.set_exception(error)

    threading.Thread(target=run, name="secrets", daemon=True).start()
    return done


HELD = References()
