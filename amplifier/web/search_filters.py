"""Filters that the search for messages and its facets share."""

from typing import Annotated

from litestar.params import QueryParameter

from amplifier.web.types import MessageRole

InSession = Annotated[str | None, QueryParameter(max_length=255, description="Only in this session")]
OfConfig = Annotated[str | None, QueryParameter(max_length=255, description="Only in sessions of this config")]
OfRole = Annotated[MessageRole | None, QueryParameter(description="Only messages of this role")]
Author = Annotated[str | None, QueryParameter(max_length=255, description="Only messages that this user added")]
Tool = Annotated[str | None, QueryParameter(max_length=255, description="Only messages that call this tool")]
