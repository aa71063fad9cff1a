"""Keys in session files: replaced with --redact, else counted so that the owner hears of them."""

from collections import Counter
from collections.abc import Callable

from amplifier.errors import OperatorError
from amplifier.transcripts.scrubber import Scrubber

_SETS = frozenset({"keys"})


class Redaction:
    """Cleans or inspects the lines of an import. `replaces` is whether all new sessions are cleaned.

    A session that was imported without its keys stays without them: `cleaner`.
    """

    def __init__(self, replaces: bool, sets: frozenset[str] = _SETS) -> None:
        """Raises OperatorError if keys are to be replaced and the extra `redact` is not installed."""
        self.replaces = replaces
        self._scrubber: Scrubber | None = None
        self._silent: Scrubber | None = None  # its counts mean nothing
        try:
            self._scrubber, self._silent = Scrubber(sets or _SETS), Scrubber(sets or _SETS)
        except OperatorError:
            if replaces:
                raise

    @property
    def counts(self) -> "Counter[str]":
        """The number of keys by kind, replaced or found."""
        return self._scrubber.counts if self._scrubber else Counter()

    def cleaner(self, is_redacted: bool) -> Callable[[bytes], bytes] | None:
        """Returns the function that replaces keys in a line of a session, or None. Raises OperatorError."""
        if not is_redacted:
            return None
        if self._scrubber is None:
            raise OperatorError("sessions imported with --redact grew: pip install 'amplifier-api[redact]'")
        return self._scrubber.document

    def text(self, text: str) -> str:
        """Returns a text without keys."""
        return self._silent.text(text) if self._silent else text

    def compared(self, raw: bytes | None) -> bytes | None:
        """Returns a line as it is stored if keys are replaced in it."""
        return self._silent.document(raw) if self._silent and raw else raw

    def warning(self) -> str | None:
        """Returns what to tell the owner about keys, or None."""
        if self._scrubber is None:
            return "not searched for keys: pip install 'amplifier-api[redact]'"
        found = ", ".join(f"{count} {name}" for name, count in sorted(self.counts.items()))
        if not found:
            return None
        return f"replaced: {found}" if self.replaces else f"imported what looks like keys: {found} (see --redact)"

    def look(self, raw: bytes) -> None:
        """Counts the keys in a line that is imported as it is."""
        if self._scrubber is not None:
            self._scrubber.document(raw)
