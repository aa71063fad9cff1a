"""File systems that a test fills up: tmpfs whose size is changed while they are in use. Mounting them needs root."""

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

_LIMIT = 30.0  # seconds for a command


class Disk:
    """A file system of bounded size."""

    def __init__(self, folder: Path, megabytes: int) -> None:
        self.folder, self._megabytes = folder, megabytes

    def fill(self) -> None:
        """Leaves no room: its size becomes what is used now."""
        while not _mount(f"remount,size={self._used()}", self.folder):
            pass  # files grew in between: the kernel refuses a size below what is used

    def make_room(self) -> None:
        """Gives it its size again."""
        assert _mount(f"remount,size={self._megabytes}m", self.folder)

    def _used(self) -> int:
        status = os.statvfs(self.folder)
        return (status.f_blocks - status.f_bfree) * status.f_frsize


@contextlib.contextmanager
def disk(folder: Path, megabytes: int) -> Iterator[Disk]:
    """Mounts a file system at `folder` for the context. Skips the test where that is not possible."""
    if not can_mount():
        pytest.skip("a small file system can be mounted by root only, and in few containers")
    folder.mkdir(parents=True, exist_ok=True)
    assert _mount(f"size={megabytes}m", folder)
    try:
        yield Disk(folder, megabytes)
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True, timeout=_LIMIT)


@cache
def can_mount() -> bool:
    """Returns whether this process may mount a file system and change its size."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if os.geteuid() != 0 or not _mount("size=1m", folder):
            return False
        try:
            return _mount("remount,size=2m", folder)
        finally:
            subprocess.run(["umount", "--lazy", folder], check=True, timeout=_LIMIT)


def _mount(options: str, folder: Path) -> bool:
    command = ["mount", "-t", "tmpfs", "-o", options, "amplifier-test", str(folder)]
    try:
        return subprocess.run(command, capture_output=True, timeout=_LIMIT).returncode == 0
    except OSError:  # there is no `mount`
        return False
