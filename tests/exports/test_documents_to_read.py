"""Markdown and HTML: nothing of a message is markup of the document, and nothing is loaded from elsewhere."""

import re
from html.parser import HTMLParser
from typing import Any

import pytest
from markdown_it import MarkdownIt

from tests.exports.documents import text

TEXTS = [
    "</script><script>alert(1)</script>",
    "`a\n` <script>x</script> `c`",
    "```\nopen fence <b>",
    "~~~ js\n```\n<!-- comment",
    "    indented <img src=x onerror=alert(1)>",
    "- item\n\n      ```\n      <i>\n\nafter <u>",
    "<details><summary>x",
    "<!-- hidden",
    "<![CDATA[ x ]]><?php ?>",
    "[x](javascript:alert(1)) ![y](http://evil.example/pixel.png) [z](//evil.example/share) <javascript:alert(1)>",
    "[r]: javascript:alert(1)\n[r]",
    "</pre></code></details></section></main></body></html>",
    "`` ` `<b>` `` <b>",
    "\\<b> \\\\<b>",
    "&lt;script&gt; &#60;b&#62;",
    "\x00 \u202e bidi \u2066",
    "# heading\n===\n---",
    "| a | b |\n|---|---|\n| <b> | `<i>` |",
]
ALLOWED = {
    "html", "head", "meta", "title", "style", "body", "header", "h1", "h2", "h3", "h4", "h5", "h6", "bdi", "p", "time",
    "main", "section", "div", "details", "summary", "code", "pre", "a", "img", "table", "thead", "tbody", "tr", "th",
    "td", "ul", "ol", "li", "em", "strong", "s", "blockquote", "hr", "br",
}  # fmt: skip


def messages(said: str) -> list[Any]:
    """Returns messages with a text in every place."""
    call = {"id": "c", "type": "function", "function": {"name": said, "arguments": '{"x": 1}'}}
    return [
        {"role": "user", "content": said, "name": said},
        {"role": "assistant", "content": said, "tool_calls": [call], "reasoning_content": said},
        {"role": "tool", "tool_call_id": "c", "name": said, "content": said},
        {
            "role": "user",
            "content": [{"type": "file", "file": {"filename": said, "file_data": "data:text/plain;base64,QQ=="}}],
        },
        {
            "role": "user",
            "content": [{"type": "odd", "value": said}, {"type": "image_url", "image_url": {"url": said}}],
        },
        {"role": "assistant", "content": "the last one"},
    ]


class Reader(HTMLParser):
    """Collects elements and their attributes, and checks that they are nested as they should."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "hr", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("said", TEXTS)
def test_html_has_no_elements_of_messages(said: str) -> None:
    page = Reader(text("html", messages(said), title=said))
    assert page.open == []
    for tag, attributes in page.seen:
        assert tag in ALLOWED
        assert not {name for name in attributes if name.startswith("on")} | ({"style", "srcset"} & attributes.keys())
        assert (attributes.get("href") or "https://").startswith(("http://", "https://", "mailto:"))
        assert (attributes.get("src") or "data:image/").startswith("data:image/")
    assert [tag for tag, _ in page.seen].count("section") == 5


@pytest.mark.parametrize("said", TEXTS)
def test_markdown_has_no_html_of_messages(said: str) -> None:
    made = text("markdown", messages(said), title=said)
    tokens = MarkdownIt("commonmark").enable("table").parse(made)
    html = [token.content for token in tokens if token.type == "html_block"]
    html += [child.content for token in tokens for child in token.children or () if child.type == "html_inline"]
    fold = r"<details>\n<summary>[^<>\n]*(?: <code>[^<>\n]*</code>)*</summary>\n|</details>\n?"
    assert [block for block in html if not re.fullmatch(fold, block)] == []
    assert html.count("</details>\n") + html.count("</details>") == made.count("\n<details>\n<summary>") >= 4
    paragraph = next(token for token in tokens if token.content == "the last one")
    assert paragraph.level == 1, "a fence or a fold is still open"


def test_code_stays_readable_in_markdown() -> None:
    said = "Use `Vec<T>` in\n```rust\nlet x: Vec<T>;\n```\nnot <b>."
    assert "Use `Vec<T>` in\n```rust\nlet x: Vec<T>;\n```\nnot &lt;b>." in text(
        "markdown", [{"role": "user", "content": said}]
    )


def test_fence_is_longer_than_any_in_it() -> None:
    made = text("markdown", [{"role": "tool", "tool_call_id": "c", "content": "a\n`````\nb"}])
    assert "\n``````\na\n`````\nb\n``````\n" in made


def test_headings_follow_turns_and_speakers() -> None:
    said = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "a"},
        {"role": "assistant", "content": "b"},
    ]
    made = text("markdown", [*said, *said])
    headings = [line.partition(" ·")[0] for line in made.splitlines() if line.startswith("#")]
    assert headings == ["# Flight to Geneva", *(
        line for turn in (1, 2) for line in (f"## Turn {turn}", "### User", "### Assistant")
    )]  # fmt: skip


def test_html_forbids_everything_but_its_style() -> None:
    page = Reader(text("html", messages("x")))
    [policy] = [
        at["content"] for tag, at in page.seen if tag == "meta" and at.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy is not None
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-")
    assert "script" not in policy


def test_images_within_a_message_are_shown_if_browsers_run_nothing_in_them() -> None:
    blocks = [
        {"type": "image_url", "image_url": {"url": f"data:image/{kind};base64,QUJD"}} for kind in ("png", "svg+xml")
    ]
    blocks.append({"type": "image_url", "image_url": {"url": 'data:image/png;base64,QUJD" onerror="x'}})
    page = Reader(text("html", [{"role": "user", "content": blocks}]))
    assert [at["src"] for tag, at in page.seen if tag == "img"] == ["data:image/png;base64,QUJD"]


@pytest.mark.parametrize("name", ["markdown", "html"])
def test_long_text_is_written_as_it_is(name: Any) -> None:
    said = "<b> `x` " * 20_000
    made = text(name, [{"role": "user", "content": said}])
    assert "<b>" not in made
    assert len(made) > len(said)
