"""Collects the structs that `@return` in a .sql file may name: those of `amplifier/api`, and `queries/rows.py`."""

import msgspec

from amplifier.api import (
    application_keys,
    applications,
    approvals,
    attachments,
    audit,
    config_versions,
    configs,
    invitations,
    participants,
    presence,
    processes,
    repair,
    runs,
    session_list,
    sessions,
    settings,
    transcripts,
    usage,
    users,
)
from amplifier.exports import origin, source
from amplifier.live import frames
from amplifier.queries import rows
from amplifier.web import config_view, import_view, session_view

_MODULES = (
    application_keys,
    applications,
    approvals,
    attachments,
    audit,
    config_versions,
    config_view,
    configs,
    frames,
    import_view,
    repair,
    invitations,
    origin,
    participants,
    presence,
    processes,
    rows,
    runs,
    session_list,
    session_view,
    sessions,
    settings,
    source,
    transcripts,
    usage,
    users,
)
STRUCTS: dict[str, type[msgspec.Struct]] = {
    name: value
    for module in _MODULES
    for name, value in vars(module).items()
    if isinstance(value, type) and issubclass(value, msgspec.Struct) and value.__module__ == module.__name__
}
