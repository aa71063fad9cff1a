"""Replaces the id of a user by a pseudonym: in columns, in the data of events, in the audit log."""

from psycopg.sql import SQL, Composable, Identifier, Literal

from amplifier.maintenance.operator_database import Connection
from amplifier.maintenance.user_columns import RENAMED_IN_SESSIONS, audit_names, event_names, named

# The details have ids in members whose name ends with `user_id` and in `key_managers`, also in the changes of these.
_DETAILS = SQL("""
update audit_log
set
    user_id = case when user_id = {old} then {new} else user_id end,
    target_id = case when target_type = 'user' and target_id = {old} then {new} else target_id end,
    address = case when user_id = {old} then null else address end,
    details = coalesce((
        select jsonb_object_agg(
            key,
            case
                when key like '%user_id' or key = 'key_managers' then {value}
                when key = 'changed' and jsonb_typeof(value) = 'object'
                    then coalesce((
                        select jsonb_object_agg(
                            field,
                            case
                                when field like '%user_id' or field = 'key_managers'
                                    then coalesce((
                                        select jsonb_object_agg(side, {former})
                                        from jsonb_each(sides) as s (side, former)
                                    ), '{{}}')
                                else sides
                            end
                        )
                        from jsonb_each(value) as f (field, sides)
                    ), '{{}}')
                else value
            end
        )
        from jsonb_each(details)
    ), '{{}}')
where {named}
""")
_VALUE = SQL("""
case
    when jsonb_typeof({value}) = 'array'
        then coalesce((
            select jsonb_agg(case when item = to_jsonb({old}::text) then to_jsonb({new}::text) else item end)
            from jsonb_array_elements({value}) as item
        ), '[]')
    when {value} = to_jsonb({old}::text) then to_jsonb({new}::text)
    else {value}
end
""")
_EVENTS = SQL("""
update session_events
set data = (
    select jsonb_object_agg(
        key, case when key like '%user_id' and value = to_jsonb({0}::text) then to_jsonb({1}::text) else value end
    )
    from jsonb_each(data)
)
where session_id = {2} and {3}
""")
_ANY = SQL("true")
_SOME_MESSAGES = SQL("""
update messages
set author_user_id = {1}
where session_id = {2} and seq = any(array(
    select seq from messages where session_id = {2} and author_user_id = {0} order by seq limit {3}
))
""")


class Renaming:
    """The replacement of one user's id. Each method runs in the caller's transaction."""

    def __init__(self, connection: Connection, user_id: str, pseudonym: str) -> None:
        self._connection, self._user_id = connection, user_id
        self._old, self._new = Literal(user_id), Literal(pseudonym)

    def some_messages(self, session_id: str, limit: int) -> int:
        """Replaces the author of the first messages of a session that have it, and returns their number."""
        statement = _SOME_MESSAGES.format(self._old, self._new, Literal(session_id), Literal(limit))
        return self._connection.execute(statement).rowcount

    def in_session(self, session_id: str) -> int:
        """Replaces the id in all rows of a session but those of its participants. Returns the number of messages."""
        here = SQL("session_id = {}").format(Literal(session_id))
        renamed = {place: self.column(*place, where=here) for place in RENAMED_IN_SESSIONS}
        self._connection.execute(_EVENTS.format(self._old, self._new, Literal(session_id), event_names(self._user_id)))
        return renamed["messages", "author_user_id"]

    def in_audit_log(self) -> int:
        """Replaces the id in the audit log and removes the addresses of the user. Returns the number of entries."""
        value, former = (_VALUE.format(value=SQL(name), old=self._old, new=self._new) for name in ("value", "former"))
        names = audit_names(self._user_id)
        statement = _DETAILS.format(old=self._old, new=self._new, value=value, former=former, named=names)
        return self._connection.execute(statement).rowcount

    def column(self, table: str, column: str, where: Composable = _ANY) -> int:
        """Replaces the id in a column of the rows that fulfil a condition. Returns their number."""
        statement = SQL("update {} set {} = {} where {} and {}").format(
            Identifier(table), Identifier(column), self._new, where, named(column, self._user_id)
        )
        return self._connection.execute(statement).rowcount
