"""The format `html`: one file to read, without scripts, that loads nothing.

Texts of messages become markup only through markdown-it without HTML. The policy in the file forbids everything but its
own style and images within it.
"""

import base64
import hashlib
from html import escape
from typing import Any

from markdown_it import MarkdownIt

from amplifier.exports import view
from amplifier.exports.source import Exported, Line, as_json, stamp
from amplifier.exports.words import image_data, web_address, words
from amplifier.transcripts.parts import Call, File, Image, Part, Result, Text, Thinking, Unknown

_PARSED = 20_000  # characters: Markdown in a longer text is not worth the time, it is shown as it is
_LINKS = ("http://", "https://", "mailto:")


def _parser() -> MarkdownIt:
    """Returns the parser: links to the web only, which say so, and no images of others."""
    parser = MarkdownIt("commonmark", {"html": False, "linkify": False}).enable(["table", "strikethrough"])
    parser.validateLink = lambda url: url.lower().startswith(_LINKS)  # type: ignore[method-assign]
    parser.add_render_rule("image", _image_link)
    parser.add_render_rule("link_open", _link)
    return parser


def _image_link(self: Any, tokens: Any, index: int, options: Any, env: Any) -> str:
    """Returns a link in the place of an image: loading it would tell its server who reads the file."""
    token = tokens[index]
    return (
        f'<a href="{escape(str(token.attrs["src"]))}" rel="noreferrer noopener">{escape(token.content or "image")}</a>'
    )


def _link(self: Any, tokens: Any, index: int, options: Any, env: Any) -> str:
    return f'<a href="{escape(str(tokens[index].attrs["href"]))}" rel="noreferrer noopener">'


_MARKDOWN = _parser()


class Html:
    """Writes the page, a section for each speaker."""

    def __init__(self, session: Exported) -> None:
        self._session, self._headings = session, view.Headings()
        self._is_open = False

    def begin(self) -> str:
        """Returns everything before the first message."""
        session, style = self._session, _STYLE
        digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        policy = f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
        name = escape(session.name)
        return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="referrer" content="no-referrer">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{name}</title>
<style>{style}</style>
</head>
<body>
<header>
<h1><bdi>{name}</bdi></h1>
<p>Session <bdi>{escape(session.session_id)}</bdi> · {_time(session.created_at)} · {session.messages_total} messages</p>
</header>
<main>
"""

    def add(self, line: Line) -> str:
        """Returns a message, in the section of its speaker."""
        parts = "".join(_part(part) for part in line.reading.parts)
        if not parts:
            return ""
        place = self._headings.of(line)
        head = ""
        if place.speaker is not None or not self._is_open:
            speaker = place.speaker or "Assistant"
            turn = "" if place.turn is None else f'<h2 id="turn-{place.turn}">Turn {place.turn}</h2>\n'
            kind = speaker.partition(" ")[0].lower()
            head = "</section>\n" if self._is_open else ""
            head += f'{turn}<section class="{escape(kind)}">\n'
            head += f"<h3><bdi>{escape(speaker)}</bdi> {_time(line.created_at)}</h3>\n"
            self._is_open = True
        return f'{head}<div dir="auto" id="m{line.seq}">{parts}</div>\n'

    def end(self) -> str:
        """Returns the end of the page."""
        return ("</section>\n" if self._is_open else "") + "</main>\n</body>\n</html>\n"


def _part(part: Part) -> str:
    match part:
        case Text(text=text):
            return _said(text)
        case Thinking(text=text):
            return _fold("Thinking", _pre(text)) if text else ""
        case Call():
            short = view.summary(part)
            named = f"Call <code>{escape(part.name)}</code>" + (f" <code>{escape(short)}</code>" if short else "")
            return _fold(named, _pre(view.arguments(part)))
        case Result():
            said = "Error" if part.is_error else "Result"
            named = f"{said} <code>{escape(part.name)}</code>" if part.name else said
            shown = "".join(_part(inner) for inner in part.content if isinstance(inner, Image) and image_data(inner))
            return _fold(named, _pre(view.returned(part)) + shown)
        case Image() if source := image_data(part):
            return f'<p><img src="{escape(source)}" alt="image"></p>\n'
        case Image(url=url) if address := web_address(url):
            return f'<p><a href="{escape(address)}" rel="noreferrer noopener">image</a></p>\n'
        case File(text=text) if text:
            return _fold(f"File <code>{escape(part.name or '')}</code>", _pre(text))
        case Unknown(value=value):
            return _fold("Data", _pre(value if isinstance(value, str) else as_json(value)))
    return _said(words(part))


def _said(text: str) -> str:
    """Returns Markdown as HTML, and a text that is too long for it as it is."""
    if not text.strip():
        return ""
    return _pre(text) if len(text) > _PARSED else _MARKDOWN.render(text)


def _pre(text: str) -> str:
    return f"<pre>{escape(text)}</pre>\n"


def _fold(summary: str, content: str) -> str:
    return f"<details><summary>{summary}</summary>{content}</details>\n"


def _time(time: Any) -> str:
    return f'<time datetime="{stamp(time)}">{time:%Y-%m-%d %H:%M} UTC</time>'


_STYLE = """
:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 18%, transparent);
  --soft: color-mix(in srgb, currentColor 5%, transparent); --accent: light-dark(#0b57d0, #a8c7fa); }
body { font: 16px/1.55 system-ui, sans-serif; max-width: 52rem; margin: 0 auto; padding: 1.5rem 1rem 4rem;
  background: light-dark(#fff, #161616); color: light-dark(#1c1c1c, #e6e6e6); overflow-wrap: anywhere; }
header { border-bottom: 1px solid var(--line); margin-bottom: 1.5rem; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .25rem; }
header p, time { color: light-dark(#5c5c5c, #a3a3a3); font-size: .875rem; font-weight: normal; }
main > h2 { font-size: .8125rem; font-weight: 600; letter-spacing: .04em; text-transform: uppercase;
  color: light-dark(#5c5c5c, #a3a3a3); margin: 2.25rem 0 .5rem; }
section { padding: .25rem 0 .25rem 1rem; border-left: 3px solid var(--line); margin: .75rem 0; }
section.user { border-color: var(--accent); }
h3 { font-size: .9375rem; margin: 0 0 .25rem; }
section div { unicode-bidi: isolate; }
section div > :first-child { margin-top: .25rem; }
section div h1, section div h2, section div h3 { font-size: 1.05rem; margin: 1rem 0 .25rem; }
pre { white-space: pre-wrap; background: var(--soft); border: 1px solid var(--line); border-radius: 6px;
  padding: .625rem .75rem; font-size: .8125rem; line-height: 1.45; overflow-x: auto; }
code { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; font-size: .875em; }
details { border: 1px solid var(--line); border-radius: 6px; padding: .375rem .75rem; margin: .5rem 0; }
summary { cursor: pointer; color: light-dark(#5c5c5c, #a3a3a3); font-size: .875rem; }
table { border-collapse: collapse; display: block; overflow-x: auto; }
th, td { border: 1px solid var(--line); padding: .25rem .5rem; text-align: left; }
img { max-width: 100%; height: auto; }
a { color: var(--accent); }
blockquote { margin-left: 0; padding-left: 1rem; border-left: 3px solid var(--line); }
@media print { details > * { display: block; } section { break-inside: auto; } }
"""
