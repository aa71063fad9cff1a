"""Imports sources: compares what is read with what is stored, and writes what is new.

A part of a source whose session is stored is read twice if it has changed: once to compare, once to write. A session
that continues is appended to, one that differs becomes a fork.
"""

import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager

from amplifier.imports import formats
from amplifier.imports.batch import Target
from amplifier.imports.comparison import Compared, Comparer, generation
from amplifier.imports.items import MAIN, Part, Session, Source
from amplifier.imports.passes import Pass
from amplifier.imports.redaction import Redaction
from amplifier.imports.report import Report
from amplifier.imports.store import Known, Store

_BATCH = 8_000_000  # bytes of lines and messages in one transaction, about
_BATCH_SESSIONS = 500


class _Restart(Exception):
    """A session of the part is stored already, though its first one is not."""


class Importer:
    """Imports into the sessions of one owner."""

    def __init__(self, store: Store, report: Report, redaction: Redaction, dry_run: bool = False) -> None:
        self._store, self._report, self.redaction, self._dry_run = store, report, redaction, dry_run
        self._comparer = Comparer(store, report, redaction)
        self._waiting: dict[str, Target] = {}  # by external_id: not stored yet
        self._pretended: dict[str, Known] = {}  # by external_id: those that a dry run would have stored
        self._size = 0
        self._absent: str | None = None  # the external_id that was looked up last, of this source, if nothing has it
        self._may_link = True  # an import that was killed may have left something to link

    @property
    def report(self) -> Report:
        """The report of this import."""
        return self._report

    def alone(self) -> AbstractContextManager[None]:
        """Makes other imports for the same user wait, or fail after ten seconds."""
        return self._store.alone()

    def take(self, source: Source, progress: Callable[[int], object] = lambda size: None) -> None:
        """Imports a source. Calls `progress` with the bytes that were read. Reports what goes wrong with the file."""
        left, self._absent = source.size, None  # since the last source another import may have stored it

        def advance(size: int) -> None:
            nonlocal left
            left, size = max(0, left - size), min(left, size)
            progress(size)

        try:
            for part in formats.READERS[source.tool].parts(source):
                advance(part.size - self._take(source, part, advance))
        except OSError as error:
            self._report.remark(source.path, 0, error.strerror or str(error))
        progress(left)
        self._report.count(source.tool, "files")

    def _take(self, source: Source, part: Part, progress: Callable[[int], object]) -> int:
        """Imports a part. Returns how many bytes `progress` was called with."""
        first = next((item for item in part.items() if isinstance(item, Session)), None)
        if first is None or not self._known(source, first.source_id):
            reading = Pass(self, source, part, {})
            try:
                reading.run(progress)
                return reading.read
            except _Restart:
                self._drop(reading)
        compared = self._comparer.compare(source, part, lambda source_id: self._known(source, source_id))
        if any(one.is_news for one in compared.values()):
            reading = Pass(self, source, part, compared)
            reading.run(progress)
            return reading.read
        self._report.count(source.tool, "same", len(compared))
        return 0

    def flush(self) -> None:
        """Writes what waits."""
        targets = [target for target in self._waiting.values() if target.is_new or target.has_changed]
        self._waiting, self._size = {}, 0
        if not targets:
            return
        for target in targets:
            self._report.count(target.tool, "messages", target.added)
        if self._dry_run:
            for target in targets:
                target.wrote()
                self._pretended[target.external_id] = Known.of(target)
            return
        self._may_link = self._may_link or any(target.is_new for target in targets)
        grown = [target.session_id for target in targets if not target.is_new and target.added]
        for refused in self._store.write(targets):
            self._report.count(refused.target.tool, "messages", -1)
            self._report.remark(refused.target.path, refused.number, refused.reason)
        self._store.announce(grown)

    def finish(self) -> None:
        """Writes what waits, and links sessions with parents and origins of forks that came after them."""
        self.flush()
        if self._may_link and not self._dry_run:
            self._store.link()
        self._may_link = False

    def put(self, target: Target, size: int) -> None:
        """Notes that a session has something to store, and writes when there is enough."""
        self._waiting[target.external_id], self._absent = target, None
        self._size += size
        if self._size > _BATCH or len(self._waiting) >= _BATCH_SESSIONS:
            self.flush()

    def _drop(self, reading: Pass) -> None:
        for target in reading.targets.values():
            self._waiting.pop(target.external_id, None)

    def _known(self, source: Source, source_id: str) -> list[Known]:
        key = external_id(source.tool, source_id)
        if key in self._waiting:
            self.flush()  # something else is about the same session
        if key == self._absent:
            return []
        known = self._store.known(key)
        if key in self._pretended:
            known = [*known, self._pretended[key]]
        self._absent = None if known else key
        return known

    def target(self, source: Source, part: Part, session: Session, compared: Compared | None) -> Target:
        """Returns the target of a session that was compared, or is new."""
        key = external_id(source.tool, session.source_id)
        if compared is None and self._known(source, session.source_id):
            raise _Restart
        if compared is not None and (known := compared.known) is not None:
            target = Target(session, source.tool, source.path, known.session_id, known.external_id)
            target.is_new, target.skips, target.former_title = False, known.lines, known.title
            target.newest = self._store.last_time(known.session_id)
            target.is_redacted = known.is_redacted or self.redaction.replaces
            return target
        target = Target(session, source.tool, source.path, str(uuid.uuid4()), key)
        target.is_redacted = self.redaction.replaces
        if compared is not None and (former := compared.former) is not None:
            target.external_id = f"{key}#{generation(former.external_id) + 1}"
            target.forked_from = former.session_id
            target.forked_at = self._comparer.common(part, session.key, former)[1]
            target.is_redacted = target.is_redacted or former.is_redacted
        return target

    def link(self, target: Target, source: Source, targets: dict[str, Target]) -> None:
        """Finds the sessions that a new one was forked from and started by."""
        session = target.session
        if session.parent is not None:
            target.parent_key = external_id(source.tool, session.parent)
            own = targets.get(MAIN)
            is_own = own is not None and own.session.source_id == session.parent
            target.parent_id = own.session_id if own and is_own else self._id_of(target.parent_key)
        if session.fork_of is None or target.forked_from is not None:
            return
        if session.fork_line is None:
            target.fork_key = external_id(source.tool, session.fork_of)
            target.forked_from = self._id_of(target.fork_key)
            return
        forked = targets[session.fork_of]
        self.flush()
        target.forked_from = target.copies_from = forked.session_id
        if not self._dry_run:
            target.forked_at = self._store.seq_of_line(forked.session_id, session.fork_line)
            target.newest = self._store.last_time(forked.session_id, target.forked_at)

    def _id_of(self, key: str) -> str | None:
        waiting = self._waiting.get(key)
        return waiting.session_id if waiting else self._store.by_key(key)


def external_id(tool: str, source_id: str) -> str:
    """Returns the key of an imported session."""
    return "".join(one if one.isprintable() else "?" for one in f"{tool}:{source_id}")[:480]
