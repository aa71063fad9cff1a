"""Compares everything that is logged during the tests with every secret that they use.

Lines are compared before anything in them is masked, so that masking remains a second safeguard.
"""

import logging
import re
from collections.abc import Iterable
from typing import Any

from amplifier import secret

_FORMS = re.compile(r"\bapp_[0-9a-f]{16}_[\w-]{43}|\beyJ[\w-]+\.[\w-]+\.[\w-]{43}", re.ASCII)  # API keys and JWTs
_MEMBERS = ("api_key", "ticket", "token")  # of answers
SHORTEST = 8  # characters
_plain = logging.Formatter()


class Leaks(logging.Handler):
    """Collects what is logged, and the secrets of the tests."""

    def __init__(self) -> None:
        super().__init__()
        self._secrets: set[str] = set()
        self._lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Notes a line, and the secrets that the process has at this moment."""
        self._lines.append(f"{_plain.format(record)} {getattr(record, 'fields', '')}")
        self._secrets |= secret.known()

    def add(self, *secrets: str) -> None:
        """Adds secrets that a test uses."""
        self._secrets.update(text for text in secrets if len(text) >= SHORTEST)

    def add_answer(self, answer: Any) -> None:
        """Adds the secrets that an answer of the service contains."""
        if isinstance(answer, dict):
            self.add(*(answer[name] for name in _MEMBERS if isinstance(answer.get(name), str)))

    def begin(self) -> None:
        """Forgets the lines so far, and listens again where a test has configured the log of this process."""
        self._lines.clear()
        root = logging.getLogger()
        root.setLevel(logging.WARNING)  # below, the clients of the tests log the addresses that they call
        if self not in root.handlers:
            root.addHandler(self)
        logging.getLogger("amplifier").setLevel(logging.DEBUG)

    def check(self) -> None:
        """Fails if a line contains a secret."""
        check(self._lines, self._secrets)


def check(lines: Iterable[str], secrets: Iterable[str]) -> None:
    """Fails if a line contains a secret, or something of the form of an API key or a token."""
    text = "\n".join(lines)
    shown = [one for one in secrets if one in text] + _FORMS.findall(text)
    if shown:
        lines = [line for line in text.split("\n") if any(one in line for one in shown)]
        raise AssertionError("\n".join(["secrets were logged:", *lines]))


leaks = Leaks()
