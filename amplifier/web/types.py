"""Types of parameters and fields that several resources share, with their bounds."""

from typing import Annotated, Literal

import msgspec

MAX_TAGS = 50

Identifier = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
Title = Annotated[str, msgspec.Meta(max_length=255)]
Description = Annotated[str, msgspec.Meta(max_length=10_000)]
TagKey = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
TagValue = Annotated[str, msgspec.Meta(max_length=500)]
Tags = Annotated[dict[TagKey, TagValue], msgspec.Meta(max_length=MAX_TAGS)]
TagsPatch = Annotated[dict[TagKey, TagValue | None], msgspec.Meta(max_length=2 * MAX_TAGS)]

Role = Literal["owner", "editor", "viewer"]
Status = Literal["active", "completed", "failed", "cancelled"]
MessageRole = Literal["system", "developer", "user", "assistant", "function", "tool"]
