"""Measures the growth of a function's time with its input as an exponent: 1 is linear, 2 quadratic."""

import gc
import math
import re
import time
from collections.abc import Callable, Iterator
from re import _constants as sre  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

# Half way: over a factor of 16 in size, a linear function would have to be measured 4 times too slow to exceed it.
LIMIT = 1.5
_SMALLEST, _STEP, _LARGEST = 16, 4, 65_536  # sizes
_FAR = 16 * _LARGEST  # where a suspicion is checked: short times are measured less exactly
_SHORT = (8, 22)  # an exponential function takes hundreds of times as long for the second, a cubic one 21
_TRIES, _MOST_CHECKS = 3, 5
_SLOW = 0.02  # seconds: larger sizes are not tried, and one measurement suffices


def exponent(run: Callable[[Any], Any], make: Callable[[int], Any]) -> float:
    """Returns the exponent of the growth of a function's time, infinity for an exponential function.

    A value above `LIMIT` is measured again, with larger inputs where that is possible; the least of all is returned.
    """
    if all(_seconds(run, make(_SHORT[1])) > 100 * max(1e-6, _seconds(run, make(_SHORT[0]))) for _ in range(_TRIES)):
        return math.inf
    grows = _exponent_up_to(run, make, _LARGEST)
    for _ in range(_MOST_CHECKS):
        if grows <= LIMIT:
            break
        grows = min(grows, _exponent_up_to(run, make, _FAR))
    return grows


def _exponent_up_to(run: Callable[[Any], Any], make: Callable[[int], Any], largest: int) -> float:
    """Returns the exponent between the largest size that is not slow and the size two steps before it."""
    size, times = _SMALLEST, [_seconds(run, make(_SMALLEST))]
    while size < largest and (times[-1] < _SLOW or len(times) < 3):
        size *= _STEP
        times.append(_seconds(run, make(size)))
    return math.log(times[-1] / max(times[-3], 1e-7), _STEP**2)


def _seconds(run: Callable[[Any], Any], given: Any) -> float:
    """Returns the CPU seconds of this thread, the least of some tries."""
    least = float("inf")
    gc.disable()  # a collection looks at all objects of the process, and counts as this thread's work
    try:
        for _ in range(_TRIES):
            started = time.thread_time()
            run(given)
            least = min(least, time.thread_time() - started)
            if least > _SLOW:
                break
    finally:
        gc.enable()
    return least


def adversaries(pattern: "re.Pattern[Any]") -> Iterator[tuple[str, str, str]]:
    """Yields beginnings, repeated parts and ends of texts on which a pattern may backtrack.

    They come from the pattern: a text that matches up to each of its repetitions, then every character that it names.
    """
    text = pattern.pattern if isinstance(pattern.pattern, str) else pattern.pattern.decode("latin-1")
    tree = parser.parse(text, pattern.flags & ~re.DEBUG)
    sample = _sample(tree)
    starts = sorted({"", *_before_repeats(tree, "")}, key=len)[:12]
    characters = sorted({*_characters(tree), "a", " ", "0"})[:24]
    parts = [*characters, *{sample[:end] for end in range(2, min(len(sample), 12) + 1)}, *_bodies(tree)]
    for start in starts:
        for part in dict.fromkeys(filter(None, parts)):
            for end in ("", "\x01"):
                yield start, part, end


def _before_repeats(tree: Any, before: str) -> Iterator[str]:
    """Yields a text that matches the part before each repetition."""
    for op, given in tree:
        if op in (sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT):
            yield before
            yield from _before_repeats(given[2], before)
        for inner in _inner(op, given):
            yield from _before_repeats(inner, before)
        before += _sample([(op, given)])


def _bodies(tree: Any) -> Iterator[str]:
    """Yields a text that matches each repeated part."""
    for op, given in tree:
        if op in (sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT):
            yield _sample(given[2])
        for inner in _inner(op, given):
            yield from _bodies(inner)


def _inner(op: Any, given: Any) -> list[Any]:
    if op in (sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT):
        return [given[2]]
    if op is sre.SUBPATTERN:
        return [given[3]]
    if op is sre.BRANCH:
        return list(given[1])
    if op in (sre.ASSERT, sre.ASSERT_NOT):
        return [given[1]]
    return [given] if op is sre.ATOMIC_GROUP else []


def _sample(tree: Any) -> str:
    """Returns a text that matches, with each repetition once."""
    text = ""
    for op, given in tree:
        if op is sre.LITERAL:
            text += chr(given)
        elif op is sre.NOT_LITERAL:
            text += "a" if given != ord("a") else "b"
        elif op is sre.ANY:
            text += "a"
        elif op is sre.IN:
            text += next(_of_set(given), "a")
        elif op is sre.BRANCH:
            text += _sample(given[1][0])
        elif op not in (sre.ASSERT, sre.ASSERT_NOT, sre.AT, sre.GROUPREF):
            for inner in _inner(op, given):
                text += _sample(inner)
    return text


def _characters(tree: Any) -> Iterator[str]:
    """Yields every character that a pattern names, and some of each of its classes."""
    for op, given in tree:
        if op in (sre.LITERAL, sre.NOT_LITERAL):
            yield chr(given)
        elif op is sre.IN:
            yield from _of_set(given)
        for inner in _inner(op, given):
            yield from _characters(inner)


def _of_set(items: Any) -> Iterator[str]:
    negated = bool(items) and items[0][0] is sre.NEGATE
    named = list(_named(items))
    if negated:
        yield next(one for one in "a0 .\n" if one not in named and not _in_category(one, items))
    yield from named[:6] if not negated else named[:3]


def _named(items: Any) -> Iterator[str]:
    for op, given in items:
        if op is sre.LITERAL:
            yield chr(given)
        elif op is sre.RANGE:
            yield chr(given[0])
        elif op is sre.CATEGORY:
            yield {
                sre.CATEGORY_DIGIT: "0",
                sre.CATEGORY_SPACE: " ",
                sre.CATEGORY_WORD: "a",
                sre.CATEGORY_NOT_SPACE: "a",
                sre.CATEGORY_NOT_DIGIT: "a",
                sre.CATEGORY_NOT_WORD: " ",
            }[given]


def _in_category(character: str, items: Any) -> bool:
    kinds = {sre.CATEGORY_DIGIT: r"\d", sre.CATEGORY_SPACE: r"\s", sre.CATEGORY_WORD: r"\w"}
    return any(
        op is sre.CATEGORY and given in kinds and re.match(kinds[given], character) for op, given in items
    ) or any(op is sre.RANGE and given[0] <= ord(character) <= given[1] for op, given in items)
