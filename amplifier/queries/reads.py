"""The queries that a read replica may answer, pinned in code: search, lists of sessions, and transcripts.

They change nothing and lock nothing. An edited text that does is refused by the replica, and runs on the primary.
"""

ON_REPLICA = frozenset(
    {
        "folders.list",
        "items.get",
        "meaning.list_messages",
        "messages.get",
        "messages.list",
        "messages.list_backwards",
        "newest_messages.list",
        "search.list_messages",
        "search.list_sessions",
        "search_facets.count",
        "session_includes.list",
        "session_lists.count",
        "session_lists.list",
        "sessions.count",
        "sessions.list",
        "sessions.list_by_activity",
    }
)
