"""Where many sessions are exported to: a folder, or one ZIP file. Both have a manifest, by which a later run goes on.

A file gets its name when it is complete. A ZIP file is made anew beside the old one, from which it takes what is
unchanged.
"""

import contextlib
import hashlib
import os
import shutil
import time
import zipfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import IO, Any, Protocol

import msgspec

from amplifier import __version__
from amplifier.errors import InputError

MANIFEST = "manifest.json"
FORMAT, VERSION = "amplifier-export", 1
_PART = ".part"
_PAUSE = 5.0  # seconds between two manifests of a folder while it is written
_CHUNK = 1024 * 1024  # bytes
_REMEDY = "name a folder, or a file that ends in .zip, where this user may write, with room on its disk"


class Entry(msgspec.Struct):
    """An exported session: its file, the clock at which it was exported, and the imported lines that it begins with."""

    session_id: str
    title: str | None
    file: str
    messages: int
    last_seq: int
    bytes: int
    sha256: str
    created_at: str
    updated_at: str
    lines: int = 0


class Manifest(msgspec.Struct):
    """The content of a folder or a ZIP file."""

    user_id: str
    export_format: str
    sessions: list[Entry]
    format: str = FORMAT
    version: int = VERSION
    service_version: str = __version__


class Target(Protocol):
    """A place for files, with the sessions that are there, by id."""

    entries: dict[str, Entry]

    async def write(self, name: str, chunks: AsyncIterator[bytes]) -> tuple[int, str]:
        """Writes a file and returns its size and hash. It is absent or complete."""

    def keep(self, entry: Entry) -> None:
        """Keeps the file of an entry that is unchanged."""


@contextlib.contextmanager
def opened(path: Path, user_id: str, export_format: str) -> Iterator[Target]:
    """Yields a target, and writes its manifest at the end. Raises InputError."""
    try:
        maker = _Archive if path.suffix.lower() == ".zip" else _Folder
        with maker(path, user_id, export_format).opened() as target:
            yield target
    except OSError as error:
        raise InputError(path, error.strerror or str(error), _REMEDY) from error


class _Folder:
    """A folder with a file for each session."""

    def __init__(self, path: Path, user_id: str, export_format: str) -> None:
        self._path, self._known = path, Manifest(user_id, export_format, [])
        self.entries: dict[str, Entry] = {}
        self._written = time.monotonic()

    @contextlib.contextmanager
    def opened(self) -> Iterator[Target]:
        self._path.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = self._path / MANIFEST
        if file.exists():
            found = _read(file, file.read_bytes(), self._known)
            self.entries = {one.session_id: one for one in found if _is_whole(self._path / one.file, one)}
        elif any(self._path.iterdir()) and not any(self._path.glob(f"*{_PART}")):
            raise InputError(self._path, "is not empty and has no manifest", "name a new folder, or one of an export")
        for left in self._path.glob(f"*{_PART}"):
            left.unlink()
        try:
            yield self
        finally:
            self._write_manifest()

    async def write(self, name: str, chunks: AsyncIterator[bytes]) -> tuple[int, str]:
        size, digest = 0, hashlib.sha256()
        with _appearing(self._path / name) as file:
            async for chunk in chunks:
                file.write(chunk)
                digest.update(chunk)
                size += len(chunk)
        if time.monotonic() - self._written > _PAUSE:
            self._write_manifest()
        return size, digest.hexdigest()

    def keep(self, entry: Entry) -> None:
        pass

    def _write_manifest(self) -> None:
        with _appearing(self._path / MANIFEST) as file:
            file.write(_manifest(self._known, self.entries))
        self._written = time.monotonic()


class _Archive:
    """A ZIP file with a file for each session."""

    def __init__(self, path: Path, user_id: str, export_format: str) -> None:
        self._path, self._known = path, Manifest(user_id, export_format, [])
        self.entries: dict[str, Entry] = {}
        self._former: zipfile.ZipFile | None = None
        self._made: zipfile.ZipFile | None = None
        self._names: set[str] = set()

    @contextlib.contextmanager
    def opened(self) -> Iterator[Target]:
        with contextlib.ExitStack() as stack:
            if self._path.exists():
                try:
                    self._former = stack.enter_context(zipfile.ZipFile(self._path))
                    found = _read(self._path, self._former.read(MANIFEST), self._known)
                except (zipfile.BadZipFile, KeyError) as error:
                    raise InputError(self._path, "is no export", "name a new file, or one of an export") from error
                self.entries = {one.session_id: one for one in found}
            with _appearing(self._path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as self._made:
                yield self
                for entry in self.entries.values():
                    self.keep(entry)
                self._made.writestr(MANIFEST, _manifest(self._known, self.entries))

    async def write(self, name: str, chunks: AsyncIterator[bytes]) -> tuple[int, str]:
        assert self._made is not None  # noqa: S101
        size, digest = 0, hashlib.sha256()
        with self._made.open(_info(name), "w", force_zip64=True) as file:
            async for chunk in chunks:
                file.write(chunk)
                digest.update(chunk)
                size += len(chunk)
        self._names.add(name)
        return size, digest.hexdigest()

    def keep(self, entry: Entry) -> None:
        assert self._made is not None  # noqa: S101
        if entry.file in self._names or self._former is None:
            return
        with self._former.open(entry.file) as old, self._made.open(_info(entry.file), "w", force_zip64=True) as new:
            shutil.copyfileobj(old, new, _CHUNK)
        self._names.add(entry.file)


def _info(name: str) -> zipfile.ZipInfo:
    """Returns the entry of a file, without a time: equal exports are equal files."""
    info = zipfile.ZipInfo(name)
    info.compress_type, info.external_attr = zipfile.ZIP_DEFLATED, 0o600 << 16
    return info


def _read(path: Path, content: bytes, wanted: Manifest) -> list[Entry]:
    """Returns the entries of a manifest. Raises InputError if it is of another user, format or program."""
    try:
        found = msgspec.json.decode(content, type=Manifest)
    except msgspec.MsgspecError as error:
        raise InputError(path, f"is no manifest of an export: {error}", "name a new folder or file") from error
    if (found.format, found.version) != (FORMAT, VERSION):
        raise InputError(path, "is the manifest of another program", "name a new folder or file")
    if (found.user_id, found.export_format) != (wanted.user_id, wanted.export_format):
        there = f"has the sessions of {found.user_id} as {found.export_format}"
        raise InputError(path, there, "name a new folder or file for others")
    if any(Path(one.file).name != one.file for one in found.sessions):
        raise InputError(path, "names files elsewhere", "name a new folder or file")
    return found.sessions if found.service_version == wanted.service_version else []


def _is_whole(path: Path, entry: Entry) -> bool:
    return path.is_file() and path.stat().st_size == entry.bytes


def _manifest(known: Manifest, entries: dict[str, Entry]) -> bytes:
    known.sessions = sorted(entries.values(), key=lambda entry: (entry.created_at, entry.session_id))
    return msgspec.json.format(msgspec.json.encode(known), indent=1) + b"\n"


@contextlib.contextmanager
def _appearing(path: Path) -> Iterator[IO[Any]]:
    """Yields a file that gets its name when it is complete and on the disk, and that only this user may read."""
    part = path.with_name(f"{path.name}{_PART}")
    try:
        with os.fdopen(os.open(part, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600), "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.rename(path)
    finally:
        part.unlink(missing_ok=True)
