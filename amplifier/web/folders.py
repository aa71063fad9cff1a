"""The filter `path`: sessions by their working directory, which importers store as the tag `cwd`."""

import re
from typing import Annotated, Any

import msgspec
from litestar.params import QueryParameter

from amplifier.errors import Problem
from amplifier.queries.registry import QuerySet

InPath = Annotated[
    str | None,
    QueryParameter(
        name="path",
        max_length=1000,
        description="Only sessions whose working directory (tag `cwd`) is this, is below it, or has these names",
    ),
]

_MOST = 100  # directories; each row is compared with each
_ABSOLUTE = re.compile(r"/|[a-z]:/")


async def in_folder(queries: QuerySet, actor_id: str, path: str | None, tags: bytes) -> bytes:
    """Returns `tags`, a filter as of tag_filter, that also demands a working directory to which `path` leads.

    Raises Problem 422 if the caller's sessions have too many such directories.
    """
    if path is None:
        return tags
    rows = await queries.folders.list(actor_id=actor_id, folder=_folder(path), most=_MOST + 1)
    readings = msgspec.json.decode(tags)
    wanted: list[dict[str, Any]] = [
        one | {"cwd": row["cwd"]}
        for one in (readings if isinstance(readings, list) else [readings])
        for row in rows
        if one.get("cwd", row["cwd"]) == row["cwd"]
    ]
    if len(wanted) > _MOST:
        detail = f"leads to more than {_MOST} working directories; give more of it"
        raise Problem(422, f"path: {detail}", errors=[{"field": "path", "detail": detail}])
    return msgspec.json.encode(wanted)


def _folder(path: str) -> str:
    """Returns a path as folders.list compares it: names between `/`, after a line break if it begins at the root."""
    folder = path.lower().replace("\\", "/")
    names = folder.strip("~/")
    return ("\n/" if _ABSOLUTE.match(folder) else "/") + (f"{names}/" if names else "")
