"""Describes exceptions for the log: Python's traceback, bounded, without secrets and without values of rows."""

import re
import traceback

from amplifier.masking import mask

_FIRST, _LAST = 4_000, 8_000  # characters that are kept of the beginning and of the end
_MOST_CAUSES = 5  # exceptions of a chain
_LINKS = {
    True: "\nThe above exception was the direct cause of the following exception:\n\n",
    False: "\nDuring handling of the above exception, another exception occurred:\n\n",
}
_INPUT = "input_value="
_ROW = re.compile(r"^(?:DETAIL|CONTEXT|QUERY|WHERE|LINE \d{1,9}):", re.MULTILINE)


def described(error: BaseException) -> str:
    """Returns the traceback of an exception and of its causes."""
    parts = [_single(error)]
    for _ in range(_MOST_CAUSES):
        cause = error.__cause__
        earlier = cause or (None if error.__suppress_context__ else error.__context__)
        if earlier is None:
            break
        parts += [_LINKS[cause is not None], _single(earlier)]
        error = earlier
    return cut(mask("".join(reversed(parts))), _FIRST, _LAST)


def message(error: BaseException) -> str:
    """Returns the message of an exception, without what PostgreSQL and pydantic quote of rows and inputs."""
    try:
        text = str(error)
    except Exception:
        return "its message cannot be read"
    row = _ROW.search(text)
    text = cut(text[: row.start()].rstrip() if row else text, _FIRST, 0)
    return "\n".join(map(_without_input, text.split("\n"))) if _INPUT in text else text


def _without_input(line: str) -> str:
    """Returns a line of pydantic's without the input that it quotes."""
    before, quote, rest = line.partition(_INPUT)
    return f"{before}{quote}...{rest[rest.rfind(', input_type=') :]}" if ", input_type=" in rest else before + quote


def cut(text: str, first: int, last: int) -> str:
    """Returns the text, or the first and the last characters of a longer one."""
    if len(text) <= first + last:
        return text
    return f"{text[:first]}\n[{len(text) - first - last} characters]\n{text[len(text) - last :]}"


def _single(error: BaseException) -> str:
    """Returns the traceback of one exception, and of the first of a group."""
    name = type(error).__qualname__
    module = type(error).__module__
    full = name if module in ("builtins", "__main__") else f"{module}.{name}"
    frames = "".join(traceback.format_tb(error.__traceback__))
    said = message(error)
    text = f"{full}: {said}\n" if said else f"{full}\n"
    if isinstance(error, BaseExceptionGroup):
        text += "".join(f"first of the group:\n{_single(one)}" for one in error.exceptions[:1])
    return f"Traceback (most recent call last):\n{frames}{text}" if frames else text
