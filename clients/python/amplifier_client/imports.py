"""Sends session files of other tools to the service, which imports them: `amplifier-client import FOLDER`.

What is there already is not stored again, so that everything may be sent twice.
"""

import argparse
import os
import sys
import tarfile
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import httpx

from . import _protocol as protocol
from . import models
from ._sync.client import Amplifier
from .errors import AmplifierError, NoConnection

SUFFIXES = frozenset({".jsonl", ".ndjson", ".json", ".backup"})
PART = 256_000_000  # bytes of files in one import
_PIECE = 1024 * 1024
_BLOCK, _GZIP = 512, 31  # of tar, and zlib's wbits for the format
_ATTEMPTS = 3  # at an import during which the service stopped
_SHOWN = 20  # remarks
_PLACES = (  # where tools keep their files: variable, folder in the home, folders in that
    ("CLAUDE_CONFIG_DIR", ".claude", ("projects",)),
    ("CODEX_HOME", ".codex", ("sessions", "archived_sessions")),
    ("", ".amplifier", ("projects",)),
)

Tell = Callable[[models.Import], object]


class File(NamedTuple):
    """A file, its name in the archive, and its size."""

    path: Path
    name: str
    size: int


class ImportFailed(AmplifierError):
    """The service could not import what was sent. The text says why."""


def places() -> list[Path]:
    """Returns the existing folders where Claude Code, Codex and the Amplifier CLI keep their files."""
    homes = [(Path(os.environ.get(name) or Path.home() / home), folders) for name, home, folders in _PLACES]
    return [home / folder for home, folders in homes for folder in folders if (home / folder).is_dir()]


def files(paths: Iterable[Path]) -> Iterator[File]:
    """Yields the files to send, in the order of their names: those given, and in folders those that may be sessions."""
    for path in paths:
        whole = path.resolve()
        if whole.is_file():
            yield File(whole, whole.name, whole.stat().st_size)
            continue
        for folder, folders, names in os.walk(whole):
            folders.sort()
            for name in sorted(names):
                file = Path(folder, name)
                if file.suffix in SUFFIXES and file.is_file():
                    yield File(file, str(file.relative_to(whole.parent)), file.stat().st_size)


def parts(found: Iterable[File], most: int = PART) -> Iterator[list[File]]:
    """Yields the files in parts of at most `most` bytes; a larger file is a part of its own."""
    part: list[File] = []
    for file in found:
        if part and sum(one.size for one in part) + file.size > most:
            yield part
            part = []
        part.append(file)
    if part:
        yield part


def packed(found: Iterable[File]) -> Iterator[bytes]:
    """Yields a tar archive of the files, compressed by gzip. Memory does not grow with them."""
    gzip = zlib.compressobj(wbits=_GZIP)
    for piece in _tar(found):
        if part := gzip.compress(piece):
            yield part
    yield gzip.flush()


def _tar(found: Iterable[File]) -> Iterator[bytes]:
    for one in found:
        with one.path.open("rb") as file:
            status = os.fstat(file.fileno())
            info = tarfile.TarInfo(one.name)
            info.size, info.mtime = status.st_size, int(status.st_mtime)
            yield info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
            left = info.size
            while left:  # a file that grows meanwhile is sent as long as it was, one that shrinks with zeros
                piece = file.read(min(left, _PIECE)) or bytes(min(left, _PIECE))
                yield piece
                left -= len(piece)
            yield bytes(-info.size % _BLOCK)
    yield bytes(2 * _BLOCK)


def send(
    client: Amplifier,
    part: Sequence[File],
    *,
    format: str = "auto",
    config_id: str | None = None,
    redact: bool = False,
    tell: Tell = lambda state: None,
) -> models.Import:
    """Sends files as one import, follows it, and returns its result. Sends it again if the service stops meanwhile.

    Calls `tell` with each state. Raises Problem, NoConnection, and ImportFailed.
    """
    params = protocol.parameters({"format": format, "config_id": config_id, "redact": redact or None})
    attempt = 0
    while True:
        result = _followed(client, _sent(client, part, params), tell)
        attempt += 1
        if result.status != "interrupted" or attempt >= _ATTEMPTS:
            break
    if result.status != "done":
        raise ImportFailed(result.detail or f"the import was {result.status}")
    return result


def _sent(client: Amplifier, part: Sequence[File], params: httpx.QueryParams) -> str:
    """Sends an archive until it is taken. Returns the id of the import."""
    attempt, options = 0, client._options
    while True:
        try:
            with protocol.connection_faults(options.url):
                response = client._connections.client().post(
                    "/imports",
                    params=params,
                    content=packed(part),
                    headers=options.headers({"Content-Type": "application/octet-stream"}),
                )
            if response.is_error:
                raise protocol.problem(response)
            return protocol.decode(response.content, models.Import).import_id
        except AmplifierError as fault:
            client.pause(attempt, fault)
            attempt += 1


def _followed(client: Amplifier, import_id: str, tell: Tell) -> models.Import:
    """Returns an import when it has ended. Connects again when the stream breaks."""
    path, attempt = protocol.path_of("imports", import_id), 0
    while True:
        try:
            with client.open_stream("GET", f"{path}/events", {}) as events:
                for event in events:
                    state = protocol.decode(protocol.encode(event.data), models.Import)
                    tell(state)
                    attempt = 0
                    if event.type == "import.finished":
                        return state
            raise NoConnection("the stream of the import ended early")
        except AmplifierError as fault:
            client.pause(attempt, fault)
            attempt += 1


def main() -> None:
    """The console script `amplifier-client`. Exits with 1 if something was not imported."""
    parser = argparse.ArgumentParser("amplifier-client", description="The client of the Amplifier session service.")
    commands = parser.add_subparsers(required=True, metavar="command")
    command = commands.add_parser("import", help="send session files of other tools to the service")
    command.add_argument("paths", metavar="PATH", nargs="*", type=Path, help="files and folders; by default the tools'")
    command.add_argument("--url", help="where the service is; by default AMPLIFIER_URL")
    command.add_argument("--format", default="auto", help="take only files of this format")
    command.add_argument("--config", metavar="ID", help="a config of yours, with which agents continue the sessions")
    command.add_argument("--redact", action="store_true", help="replace keys before anything is stored")
    command.add_argument("--part-bytes", type=int, default=PART, help="bytes of files in one import, %(default)s")
    arguments = parser.parse_args()
    try:
        sys.exit(_run(arguments))
    except (AmplifierError, OSError) as fault:
        sys.exit(f"amplifier-client: {fault}")
    except KeyboardInterrupt:
        sys.exit("amplifier-client: interrupted; what was sent is imported, send the rest again")


def _run(arguments: argparse.Namespace) -> int:
    paths = arguments.paths or places()
    if missing := [path for path in paths if not path.exists()]:
        sys.exit(f"amplifier-client: {missing[0]}: there is no such file or folder")
    found = list(files(paths))
    print(f"{len(found)} files, {sum(file.size for file in found) / 1e6:.1f} MB")
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    remarks: list[models.ImportRemark] = []
    losses = 0
    options = {"format": arguments.format, "config_id": arguments.config, "redact": arguments.redact}
    with Amplifier(arguments.url) as client:
        for part in parts(found, arguments.part_bytes):
            result = send(client, part, tell=_progress, **options)
            losses += result.losses
            remarks += result.remarks[: _SHOWN - len(remarks)]
            for tool, count in result.counts.items():
                counts[tool].update({name: getattr(count, name) for name in count.__struct_fields__})
    _summary(counts, remarks)
    return 1 if losses else 0


def _progress(state: models.Import) -> None:
    if sys.stderr.isatty() and state.bytes_total:
        end = "\n" if state.status != "running" else ""
        print(f"\r{100 * state.bytes_read // state.bytes_total}% imported", end=end, file=sys.stderr, flush=True)


def _summary(counts: "dict[str, Counter[str]]", remarks: "list[models.ImportRemark]") -> None:
    for remark in remarks:
        place = f"{remark.file}:{remark.line}" if remark.line else remark.file
        print(f"{place}: {remark.detail}", file=sys.stderr)
    if not any(one["new"] + one["grown"] + one["forked"] for one in counts.values()):
        print("nothing new")
        return
    for tool, one in sorted(counts.items()):
        sessions = f"{one['new']} new, {one['grown']} continued, {one['forked']} forks, {one['same']} unchanged"
        print(f"{tool}: {one['files']} files; sessions: {sessions}; {one['messages']} messages")


if __name__ == "__main__":
    main()
