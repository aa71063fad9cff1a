"""Unpacks what was sent for an import: a ZIP or tar archive of a folder, or one file. Trusts nothing in an archive.

Names stay below the folder, only regular files are written, and their number and sizes have bounds.
"""

import os
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

_MOST_FILES = 200_000
_MOST_PARTS, _LONGEST_PART, _LONGEST_NAME = 30, 255, 1000  # bytes of names, within what all file systems take
_PIECE = 1024 * 1024
SPARE = 256 * 1024 * 1024  # bytes of the disk that stay free
_GZIP, _ZIP, _TAR = b"\x1f\x8b", (b"PK\x03\x04", b"PK\x05\x06"), b"ustar"
_TAR_AT = 257

Remark = Callable[[Path, str], object]


class ArchiveError(Exception):
    """Raised for a body that cannot be unpacked. The text says why, for the user."""


class _Member(NamedTuple):
    """A file of an archive; `open` is None for what is no regular file."""

    name: str
    size: int
    modified: float | None
    open: Callable[[], IO[bytes] | None] | None


def unpack(body: Path, folder: Path, name: str, most: int, remark: Remark) -> None:
    """Writes the files in `body` below `folder`, at most `most` bytes. One that is no archive becomes the file `name`.

    Calls `remark` for members that are left out. Raises ArchiveError, and OSError if the disk fails.
    """
    with body.open("rb") as file:
        head = file.read(_TAR_AT + len(_TAR))
    if head.startswith(_ZIP):
        _write(_zipped(body), folder, most, remark)
    elif head.startswith(_GZIP) or head[_TAR_AT:] == _TAR:
        _write(_tarred(body), folder, most, remark)
    else:
        place = safe(name)
        if place is None:
            raise ArchiveError("filename: give the name of the file, without .. and not from /")
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        body.rename(folder / place)


def safe(name: str) -> Path | None:
    """Returns a name as a path below a folder, or None if it leads elsewhere, or nowhere."""
    parts = [part for part in PurePosixPath(name).parts if part != "."]
    if not parts or name.startswith("/") or len(parts) > _MOST_PARTS or len(os.fsencode(name)) > _LONGEST_NAME:
        return None
    if any(part == ".." or "\0" in part or len(os.fsencode(part)) > _LONGEST_PART for part in parts):
        return None
    return Path(*parts)


def _write(members: Iterator[_Member], folder: Path, most: int, remark: Remark) -> None:
    total = 0
    try:
        for number, member in enumerate(members):
            total += member.size  # also of one that is left out: it is read through
            if total > most:
                raise ArchiveError(f"its files have more than {most} bytes (MAX_IMPORT_BYTES): send them in parts")
            if number >= _MOST_FILES:
                raise ArchiveError(f"it has more than {_MOST_FILES} files: send them in parts")
            if (fault := _fault(member, folder)) is not None:
                remark(Path(member.name[:_LONGEST_NAME].replace("\0", "?") or "?"), fault)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, ValueError, NotImplementedError, zlib.error) as error:
        raise ArchiveError(f"the archive is damaged or cut off ({type(error).__name__})") from error


def _fault(member: _Member, folder: Path) -> str | None:
    """Writes a member. Returns why it is left out, or None."""
    place = safe(member.name)
    if place is None:
        return "left out: its name leads out of the folder, or is too long"
    if member.open is None:
        return "left out: it is a link or device, or encrypted"
    if shutil.disk_usage(folder).free < member.size + SPARE:
        raise ArchiveError("the service's disk is full: try again later")
    path = folder / place
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as target:
            source = member.open()
            if source is None:
                return "left out: it is no file"
            with source:
                _copy(source, target, member.size)
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        return "left out: the archive has another file of this name"
    if member.modified is not None:
        os.utime(path, (member.modified, member.modified))
    return None


def _copy(source: IO[bytes], target: IO[bytes], size: int) -> None:
    """Copies exactly the bytes that were announced. Raises EOFError if there are fewer."""
    left = size
    while left:
        piece = source.read(min(left, _PIECE))
        if not piece:
            raise EOFError
        target.write(piece)
        left -= len(piece)


def _zipped(body: Path) -> Iterator[_Member]:
    with zipfile.ZipFile(body) as archive:
        for info in archive.infolist():
            if info.is_dir():
                continue
            kind = stat.S_IFMT(info.external_attr >> 16)
            is_file = kind in (0, stat.S_IFREG) and not info.flag_bits & 1
            yield _Member(info.filename, info.file_size, None, _opener(archive, info) if is_file else None)


def _opener(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Callable[[], IO[bytes]]:
    return lambda: archive.open(info)


def _tarred(body: Path) -> Iterator[_Member]:
    with body.open("rb") as file, tarfile.open(fileobj=file, mode="r|*") as archive:
        for info in archive:
            archive.members = []  # type: ignore[attr-defined] # else it remembers them all
            if info.isdir():
                continue
            size = info.size if info.isreg() else 0
            yield _Member(info.name, size, float(info.mtime), _extractor(archive, info) if info.isreg() else None)


def _extractor(archive: tarfile.TarFile, info: tarfile.TarInfo) -> Callable[[], IO[bytes] | None]:
    return lambda: archive.extractfile(info)
