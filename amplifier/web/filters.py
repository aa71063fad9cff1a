"""Filters that several lists and searches share: by tag and by time; session_filters.py has those of sessions alone."""

import re
from datetime import UTC, datetime
from typing import Annotated

import msgspec
from litestar.params import QueryParameter

from amplifier.errors import Problem
from amplifier.web import misfits

_LONGEST_KEY = 100  # characters of a tag's key, as in types.py
_MOST_READINGS = 100  # of all tags together; each row is compared with each
_SHOWN = 100  # characters of a wrong value
_DATE_TIME = {"format": "date-time"}

TagFilter = Annotated[
    list[str] | None,
    QueryParameter(name="tag", max_items=20, description="Only rows with this tag, as `key:value`; may be repeated"),
]
CreatedAfter = Annotated[
    str | None,
    QueryParameter(
        description="Only what was created at this time or later (RFC 3339; UTC without zone)", schema_extra=_DATE_TIME
    ),
]
CreatedBefore = Annotated[
    str | None, QueryParameter(description="Only what was created before this time", schema_extra=_DATE_TIME)
]
UpdatedAfter = Annotated[
    str | None, QueryParameter(description="Only what was changed at this time or later", schema_extra=_DATE_TIME)
]
UpdatedBefore = Annotated[
    str | None, QueryParameter(description="Only what was changed before this time", schema_extra=_DATE_TIME)
]
AsOf = Annotated[
    str | None,
    QueryParameter(
        description="Only messages that were there at this time (RFC 3339; UTC without zone)", schema_extra=_DATE_TIME
    ),
]

# date, hour and minute; seconds; a `+` that was sent as such and so was read as a space; the zone
_TIME = re.compile(r"(\S{10}[Tt ]\d\d:\d\d)(:[\d.]+)?( )?(\S*)", re.ASCII)


def tag_filter(tags: list[str] | None) -> bytes:
    """Returns the JSON object that rows must contain for `tag=key:value` filters, or an array of objects, one of which
    they must contain: keys and values may have colons, and each colon may be the one between them.

    Raises Problem 422.
    """
    readings: list[dict[str, str]] = [{}]
    for tag in dict.fromkeys(tags or ()):
        pairs = _pairs(tag)
        joined = [one | {key: value} for one in readings for key, value in pairs if one.get(key, value) == value]
        if not joined:
            raise _wrong_tag(f"{pairs[0][0]} cannot have two values at once")
        if len(joined) > _MOST_READINGS:
            raise _wrong_tag("these have too many colons to try each as the one between key and value; give fewer tags")
        readings = joined
    return msgspec.json.encode(readings if len(readings) > 1 else readings[0])


def _pairs(tag: str) -> list[tuple[str, str]]:
    """Returns each key and value that a tag may mean, the one with the shortest key first. Raises Problem 422."""
    if "\0" in tag:  # in JSON the database would take it
        raise misfits.odd_characters(None, {"tag": tag}) or _wrong_tag("contains a NUL character")
    places = [place for place, character in enumerate(tag) if character == ":" and place]
    if not places:
        raise _wrong_tag(f"must be of the form key:value, not '{_shortened(tag)}'")
    return [(tag[:place], tag[place + 1 :]) for place in places if place <= _LONGEST_KEY or place == places[0]]


def utc(name: str, text: str | None) -> datetime | None:
    """Returns the time in a parameter as PostgreSQL takes it; without a zone it is UTC. Raises Problem 422.

    Seconds may be left out; RFC 3339 allows `t`, `z` and a space for `T`.
    """
    if text is None:
        return None
    try:
        moment: datetime = msgspec.convert(_completed(text), datetime, strict=False)
        return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    except msgspec.ValidationError:
        detail = f"must be a time like 2024-05-20T10:00Z or 2024-05-20T10:00:00.5+02:00, not '{_shortened(text)}'"
    except OverflowError:
        detail = "out of range"
    raise Problem(422, f"{name}: {detail}", errors=[{"field": name, "detail": detail}]) from None


def period(name: str, after: str | None, before: str | None) -> dict[str, datetime | None]:
    """Returns the bounds `<name>_after` and `<name>_before` in UTC. Raises Problem 422 for an end before its start."""
    bounds = {f"{name}_after": utc(f"{name}_after", after), f"{name}_before": utc(f"{name}_before", before)}
    start, end = bounds.values()
    if start is not None and end is not None and end < start:
        raise Problem(422, f"{name}_before: must not be earlier than {name}_after")
    return bounds


def _completed(text: str) -> str:
    """Returns a time with seconds, and with the `+` of its zone."""
    match = _TIME.fullmatch(text)
    if match is None:
        return text
    minute, seconds, space, zone = match.groups()
    return f"{minute}{seconds or ':00'}{'+' if space else ''}{zone}"


def _wrong_tag(detail: str) -> Problem:
    return Problem(422, f"tag: {detail}", errors=[{"field": "tag", "detail": detail}])


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
