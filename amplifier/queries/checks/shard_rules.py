"""The rules for statements where sessions are divided between nodes, and the queries that break one so far.

`shards` applies them. PINNED is reviewed like access rules, and only gets shorter: a query that it does not list has to
keep every rule.
"""

# the problem, in which {} is the table or function, and the remedy
RULES = {
    "volatile": (
        "{} is volatile, and a change of a table on several nodes may not call it",
        "use statement_timestamp(), or let a trigger set the value",
    ),
    "case": (
        "{} is not immutable, and a change may not call it in case, coalesce or on conflict",
        "calculate it before, or use a column of the inserted row and excluded",
    ),
    "lock-joined": (
        "rows of {} are locked in a join with a common table expression",
        "lock them by themselves, with exists (...) or = (select ...) for the expression",
    ),
    "lock-several": ("rows of {} are locked on several nodes", "let the change ask again for what the lock was for"),
    "lock-reference": ("rows of {} are locked, which every node has", "leave it to the foreign key"),
    "snapshot": (
        "{} is read after the statement changed it, and nodes differ in what is seen",
        "return what is needed from the change",
    ),
    "exists": ("exists has {} in an insert", "write: select 1"),
    "count": ("{} is compared in a where without from", "select from the expression instead"),
    "returning": ("returning calls {}", "calculate it in the outer select"),
    "function": ("{} reads tables, which a node cannot do for it", "write its statement here"),
}

# The tables that functions of the schema read or write, other than triggers.
FUNCTIONS = {
    "announce": ("notification_keys",),
    "count_unread": ("messages",),
    "message_embeddings_nearest": ("embedding_models", "message_embeddings", "messages"),
    "messages_by_key": ("messages",),
    "messages_choose": ("messages",),
    "messages_erase": ("retracted_messages",),
    "messages_move": ("messages", "session_origin_lines"),
    "messages_replace": ("messages",),
    "messages_retract": ("messages", "retracted_messages", "runs", "session_origin_lines"),
    "runs_count_queued": ("runs",),
    "runs_count_queued_of_user": ("runs",),
    "runs_count_running": ("runs",),
    "search_matches": ("messages", "session_participants", "sessions"),
    "search_queries": ("sessions",),
    "states_lock": ("application_states", "user_states"),
    "states_patch": ("application_states", "session_states", "user_states"),
    "states_read": ("application_states", "session_states", "user_states"),
}
# Those of them that do not work on one session.
SPANNING = {"message_embeddings_nearest", "runs_count_queued_of_user", "search_matches", "search_queries"}

# Functions of PostgreSQL that queries call and that are not immutable.
VOLATILE = {"clock_timestamp", "pg_try_advisory_xact_lock"}
STABLE = {
    "concat",
    "concat_ws",
    "convert_to",
    "date_trunc",
    "extract",
    "jsonb_agg",
    "jsonb_build_object",
    "jsonb_to_recordset",
    "length",
    "now",
    "pg_column_size",
    "statement_timestamp",
    "to_char",
    "to_jsonb",
    "to_tsvector",
}

# The rules that queries break so far.
PINNED: dict[str, tuple[str, ...]] = {
    "appends.create": ("function", "lock-joined"),
    "attachment_expiry.claim": ("lock-several",),
    "config_changes.lock": ("lock-reference",),
    "config_changes.restore": ("lock-reference",),
    "config_changes.update": ("lock-reference",),
    "configs.lock": ("lock-several",),
    "configs.lock_sessions": ("lock-several",),
    "embeddings.claim": ("lock-several",),
    "meaning.list_messages": ("function",),
    "participants.touch": ("lock-several",),
    "retracted_messages.erase": ("function",),
    "retractions.create": ("function",),
    "runs.claim": ("function",),
    "runs.enqueue": ("function",),
    "runs.reap": ("lock-several",),
    "runs.renew": ("lock-several",),
    "runs.start": ("function",),
    "search.list_messages": ("function",),
    "search.list_sessions": ("function",),
    "search_facets.count": ("function",),
    "sessions.fork": ("lock-reference",),
    "sessions.lock_source": ("lock-joined", "lock-reference"),
    "sessions.update": ("lock-reference",),
    "states.list": ("function",),
    "states.list_own": ("function",),
    "states.update": ("function",),
    "streams.sweep": ("lock-reference",),
    "tickets.sweep": ("lock-reference",),
    "transcripts.repair": ("function",),
}
