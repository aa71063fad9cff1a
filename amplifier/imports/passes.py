"""One reading of a part of a source that writes what is new."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec import structs

from amplifier.imports.batch import Target
from amplifier.imports.comparison import Compared
from amplifier.imports.items import Fault, Line, Part, Session, Source

if TYPE_CHECKING:
    from amplifier.imports.importer import Importer


class Pass:
    """Hands the lines of a part to the targets of their sessions."""

    def __init__(self, importer: "Importer", source: Source, part: Part, compared: dict[str, Compared]) -> None:
        self._importer, self._source, self._part, self._compared = importer, source, part, compared
        self.targets: dict[str, Target] = {}
        self._faults: list[Fault] = []  # of the next line
        self.read = 0

    def run(self, progress: Callable[[int], object]) -> None:
        """Reads the part and hands over what is new. Calls `progress` with the bytes that were read."""
        for item in self._part.items():
            if isinstance(item, Session):
                self._session(item)
            elif isinstance(item, Fault):
                self._faults.append(item)
            else:
                size = self._line(item)
                self.read += size
                progress(size)
        self._remark()
        for key, target in self.targets.items():
            self._importer.report.count(self._source.tool, self._outcome(target, self._compared.get(key)))

    def _outcome(self, target: Target, compared: Compared | None) -> str:
        if compared is None or compared.known is None:
            return "forked" if target.forked_at is not None else "new"
        return "grown" if target.has_news else "same"

    def _remark(self) -> None:
        for fault in self._faults:
            self._importer.report.remark(self._source.path, fault.number, fault.reason, fault.is_loss)
        self._faults.clear()

    def _session(self, session: Session) -> None:
        target = self.targets.get(session.key)
        if target is not None:
            target.session = self._cleaned(session, target)
            if target.has_news:
                target.has_changed = True
                self._importer.put(target, 0)
            return
        compared = self._compared.get(session.key) if self._compared else None
        target = self.targets[session.key] = self._importer.target(self._source, self._part, session, compared)
        target.session = self._cleaned(session, target)
        if target.is_new:
            self._importer.link(target, self._source, self.targets)
            self._importer.put(target, 0)

    def _cleaned(self, session: Session, target: Target) -> Session:
        """Returns the session without keys in its title, its tags and the files beside it, if it is redacted."""
        if not target.is_redacted:
            return session
        clean = self._importer.redaction.text
        files = {name: clean(text) for name, text in session.files.items()}
        tags = {name: clean(text) for name, text in session.tags.items()}
        return structs.replace(session, title=session.title and clean(session.title), tags=tags, files=files)

    def _line(self, line: Line) -> int:
        target = self.targets[line.session]
        size = len(line.raw or b"") + 1
        clean = self._importer.redaction.cleaner(target.is_redacted)
        kept = clean(line.raw) if clean and line.raw else line.raw
        if clean and line.message is not None and kept != line.raw:
            line.message = clean(line.message)
        if target.add(line, kept):
            self._remark()
            if line.raw is not None and clean is None:
                self._importer.redaction.look(line.raw)
            self._importer.put(target, size * 2 + 200)
        self._faults.clear()
        return size
