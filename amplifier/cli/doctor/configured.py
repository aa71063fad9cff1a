"""The checks of the settings and the database, in their order."""

from collections.abc import Awaitable, Callable

from amplifier.cli.doctor import capacity, database, issuer, login, provider, reaching, replica
from amplifier.cli.doctor.findings import LIMIT, Check, Outcome
from amplifier.cli.doctor.target import Target

Run = Callable[[Target], Awaitable[Outcome]]


def checks(target: Target) -> list[Check]:
    """Returns the checks. Each is skipped if one that it needs did not pass."""

    def check(name: str, run: Run, *needs: str, limit: float = LIMIT, unless_failed: tuple[str, ...] = ()) -> Check:
        return Check(name, lambda: run(target), needs, limit, unless_failed=unless_failed)

    def asked(name: str, run: Run, *needs: str) -> Check:
        """Returns a check on the signed-in connection, whose errors do not reach the checks after it."""

        async def in_savepoint(target: Target) -> Outcome:
            async with target.connection.transaction():
                return await run(target)

        return check(name, in_savepoint, "sign-in", *needs)

    return [
        check("settings", Target.load),
        check("query files", database.files, "settings"),
        check("token keys", issuer.keys, "settings"),
        check("console sign-in", provider.console, "settings"),
        check("database", Target.choose, "settings"),
        check("name resolution", reaching.resolve, "database"),
        check("TCP", reaching.connect, "database", unless_failed=("name resolution",)),
        check("TLS", reaching.secure, "database", unless_failed=("name resolution", "TCP")),
        check("token", login.token, "database", limit=10),
        check("sign-in", login.sign_in, "database", unless_failed=("name resolution", "TCP", "TLS", "token")),
        asked("server version", database.version),
        asked("encoding", database.encoding, "server version"),
        asked("writable", database.writable),
        asked("role", login.confine),
        asked("schema version", database.schema, "role"),
        asked("connections", capacity.pool),  # before this command opens more of them
        check("pool", login.open_pool, "role"),
        check("read replica", replica.follows, "pool", limit=10),
        check("search language", database.language, "pool", "schema version"),
        check("queries", database.queries, "pool", "schema version", "writable", "query files", limit=10),
        asked("extensions", database.extensions),
        asked("clock", database.clock),
        check("LISTEN", login.listen, "sign-in"),
        asked("server settings", capacity.server_settings),
    ]
