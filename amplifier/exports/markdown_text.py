"""Texts of messages within a Markdown document: they cannot end a fence, begin HTML or hide what follows them."""

import re
from html import escape

from markdown_it import MarkdownIt

_FENCE = re.compile(r" {0,3}(`{3,}+|~{3,}+)([^\n]*+)")
_RUN = re.compile(r"`++")
_PARSED = 20_000  # characters: parsing more would take long, and code spans in it are shown with escapes
_TAGS = re.compile(r"<(?=[A-Za-z/!?])")
_BIDI = re.compile("[\u200e\u200f\u202a-\u202e\u2066-\u2069\u061c]")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_PARSER = MarkdownIt("commonmark").enable("table")


def safe(text: str) -> str:
    """Returns the Markdown of a message in which no HTML is HTML and every fence is closed.

    HTML in code stays readable: a parser decides whether all of it is code. If not, it is escaped everywhere outside of
    fences.
    """
    text = _CONTROLS.sub("\ufffd", text)
    lines = (
        [line for line, _ in _fenced(text)] if "<" not in text else _escaped(text, spares_spans=len(text) <= _PARSED)
    )
    made = "\n".join(lines)
    if "<" in text and len(text) <= _PARSED and _has_html(made):
        made = "\n".join(_escaped(text, spares_spans=False))
    return made


def fenced(text: str, language: str = "") -> str:
    """Returns a text as a block of code, in a fence that is longer than any in it."""
    longest = max((len(run) for run in _RUN.findall(text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{_CONTROLS.sub(chr(0xFFFD), text)}\n{fence}"


def line(text: str) -> str:
    """Returns a text that was not written as Markdown, such as a title, on one line and without any markup."""
    short = " ".join(_BIDI.sub("", _CONTROLS.sub("\ufffd", text)).split())
    return re.sub(r"([\\`*_\[\]<>#|~!&])", r"\\\1", short)


def code(text: str) -> str:
    """Returns a short text for the summary of a fold, which is HTML."""
    return f"<code>{escape(_BIDI.sub('', ' '.join(text.split())))}</code>"


def _fenced(text: str) -> list[tuple[str, bool]]:
    """Returns the lines of a text, with whether they are in a fence, and closes the last fence if it is open."""
    lines: list[tuple[str, bool]] = []
    opened = ""
    for one in text.split("\n"):
        match = _FENCE.match(one)
        if opened:
            lines.append((one, True))
            if match and match[1][0] == opened[0] and len(match[1]) >= len(opened) and not match[2].strip():
                opened = ""
            continue
        is_fence = match is not None and not (match[1][0] == "`" and "`" in match[2])
        opened = match[1] if match is not None and is_fence else ""
        lines.append((one, is_fence))
    return [*lines, (opened, True)] if opened else lines


def _escaped(text: str, spares_spans: bool) -> list[str]:
    """Returns the lines of a text in which nothing begins HTML outside of fences and, if wanted, code spans."""
    return [
        one if in_fence else _without_tags(one, spares_spans) if "<" in one else one for one, in_fence in _fenced(text)
    ]


def _without_tags(text: str, spares_spans: bool) -> str:
    if not spares_spans or "`" not in text:
        return _TAGS.sub("&lt;", text)
    made, position = [], 0
    runs = list(_RUN.finditer(text))
    following: dict[int, list[int]] = {}
    for index, run in enumerate(runs):
        following.setdefault(len(run[0]), []).append(index)
    index = 0
    while index < len(runs):
        run = runs[index]
        same = following[len(run[0])]
        same.pop(0)
        while same and same[0] <= index:
            same.pop(0)
        made.append(_TAGS.sub("&lt;", text[position : run.start()]))
        end = runs[same[0]] if same else run
        made.append(text[run.start() : end.end()])
        position, index = end.end(), (same[0] if same else index) + 1
    return "".join([*made, _TAGS.sub("&lt;", text[position:])])


def _has_html(text: str) -> bool:
    """Returns whether a parser finds HTML in a text."""
    tokens = _PARSER.parse(text)
    kinds = {token.type for token in tokens} | {child.type for token in tokens for child in token.children or ()}
    return not kinds.isdisjoint(("html_block", "html_inline"))
