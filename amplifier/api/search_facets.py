"""Facets of the search: how many hits each role, author, tool, config and month has."""

from functools import partial
from typing import Any

import msgspec
from litestar import Controller

from amplifier.web.filters import CreatedAfter, CreatedBefore, TagFilter, period, tag_filter
from amplifier.web.folders import InPath, in_folder
from amplifier.web.request import Request, participation
from amplifier.web.routing import get
from amplifier.web.search import MOST_RANKED, Q, Search
from amplifier.web.search_filters import Author, InSession, OfConfig, OfRole, Tool
from amplifier.web.typed_filters import typed_filters
from amplifier.web.types import MessageRole

_MOST_VALUES = 20  # of each facet


class Facet(msgspec.Struct):
    """The number of hits with a value."""

    value: str
    count: int


class RoleFacet(msgspec.Struct):
    """The number of hits with a derived role."""

    value: MessageRole
    count: int


class ConfigFacet(msgspec.Struct):
    """The number of hits in sessions of a config."""

    value: str
    name: str | None
    count: int


class Facets(msgspec.Struct):
    """The most frequent values of each facet; `partial` says that only the newest hits were counted."""

    hits: int
    partial: bool
    role: list[RoleFacet]
    author: list[Facet]
    tool: list[Facet]
    config: list[ConfigFacet]
    month: list[Facet]


class SearchFacetsController(Controller):
    """The facets of the search over all sessions."""

    path = "/search/facets"
    tags = ["search"]

    @get(operation_id="count_search_facets", summary="How many hits each filter would leave", errors=(404,))
    async def count_search_facets(
        self,
        request: Request,
        q: Q,
        session_id: InSession = None,
        config_id: OfConfig = None,
        role: OfRole = None,
        author: Author = None,
        tag: TagFilter = None,
        folder: InPath = None,
        created_after: CreatedAfter = None,
        created_before: CreatedBefore = None,
        tool: Tool = None,
    ) -> Facets:
        """Counts the hits that `search` finds with the same parameters, at most the newest 2,000."""
        since, until = period("created", created_after, created_before).values()
        search = Search("facets", {})
        typed = typed_filters(q, tag, folder, role, author, tool)
        count = partial(
            request.queries.search_facets.count,
            actor_id=request.caller.user_id,
            q=typed.words,
            session_id=session_id,
            config_id=config_id,
            tags=await in_folder(request.queries, request.caller.user_id, typed.path, tag_filter(typed.tags)),
            **typed.of_messages,
            since=since,
            until=until,
            most_counted=MOST_RANKED,
            most_values=_MOST_VALUES,
        )
        rows = await search.run(request, count, is_first_page=False)
        if not rows and session_id is not None:
            await participation(request, session_id)
        return _facets(rows)


def _facets(rows: list[Any]) -> Facets:
    counted = rows[0]["counted"] if rows else 0
    facets = Facets(min(counted, MOST_RANKED), counted > MOST_RANKED, [], [], [], [], [])
    for facet, value, name, count, _ in rows:
        if facet == "config":
            facets.config.append(ConfigFacet(value, name, count))
        elif facet == "role":
            facets.role.append(RoleFacet(value, count))
        else:
            getattr(facets, facet).append(Facet(value, count))
    return facets
