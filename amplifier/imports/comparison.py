"""Compares the sessions of a source with those that are stored, by the number and the digest of their lines."""

from collections.abc import Callable
from typing import NamedTuple

from amplifier.imports.batch import Digest
from amplifier.imports.items import Line, Part, Session, Source
from amplifier.imports.redaction import Redaction
from amplifier.imports.report import Report
from amplifier.imports.store import Known, Store


class Compared(NamedTuple):
    """The comparison of a session of a source with those that are stored of its key."""

    known: Known | None  # the one that it continues
    former: Known | None  # the one that it differs from
    lines: int

    @property
    def is_news(self) -> bool:
        """True if the source has something that is not stored."""
        return self.known is None or self.lines > self.known.lines


class Comparer:
    """Compares with the sessions of one owner."""

    def __init__(self, store: Store, report: Report, redaction: Redaction) -> None:
        self._store, self._report, self._redaction = store, report, redaction

    def compare(self, source: Source, part: Part, known: Callable[[str], list[Known]]) -> dict[str, Compared]:
        """Returns for each session of a part what it continues, and what it differs from, by its key.

        `known` returns what is stored of a source_id.
        """
        candidates: dict[str, list[Known]] = {}
        digests: dict[str, Digest] = {}
        continued: dict[str, Known] = {}
        for item in part.items():
            if isinstance(item, Session) and item.key not in candidates:
                candidates[item.key] = known(item.source_id)
                digests[item.key] = Digest()
                if twin := _twin(item, candidates):
                    continued[item.key] = twin
            elif isinstance(item, Line):
                digest = digests[item.session]
                digest.add(item)
                for one in candidates[item.session]:
                    if one.lines == digest.lines and one.digest == digest.text():
                        continued[item.session] = one
        return {
            key: self._found(source, part, key, found, continued.get(key), digests[key].lines)
            for key, found in candidates.items()
        }

    def _found(
        self, source: Source, part: Part, key: str, found: list[Known], continued: Known | None, lines: int
    ) -> Compared:
        empty = next((known for known in found if known.lines == 0), None)
        if continued or not found or empty:
            return Compared(continued or empty, None, lines)
        newest = max(found, key=lambda known: generation(known.external_id))
        if lines < newest.lines and self.common(part, key, newest)[0] == lines:
            self._report.remark(source.path, 0, "it is shorter than at the last import: nothing is new", is_loss=False)
            return Compared(newest, None, newest.lines)
        return Compared(None, newest, lines)

    def common(self, part: Part, key: str, known: Known) -> tuple[int, int]:
        """Returns how many lines a session of a part begins with like a stored one, and the last message's number.

        A line that was stored without its keys counts as the same.
        """
        common = seq = 0
        with self._store.lines(known.session_id) as stored:
            for line in part.items():
                if not isinstance(line, Line) or line.session != key:
                    continue
                kept, message_seq = next(stored, (b"\n", None))  # no line has a line feed
                if kept is not None and kept != line.raw and kept != self._redaction.compared(line.raw):
                    break
                common, seq = common + 1, message_seq or seq
        return common, seq


def _twin(session: Session, candidates: dict[str, list[Known]]) -> Known | None:
    """Returns the stored session that has all lines of a fork: it was the main one when it was imported."""
    if session.whole is None or session.fork_of is None:
        return None
    stored = [known for found in candidates.values() for known in found]
    return next((known for known in stored if (known.lines, known.digest) == session.whole), None)


def generation(external_id: str) -> int:
    """Returns which one of the sessions of a key one is: 1 is the first, that of `#2` the second."""
    _, _, number = external_id.rpartition("#")
    return int(number) if "#" in external_id and number.isdecimal() else 1
