"""The checks of a running service, in their order."""

from collections.abc import Awaitable, Callable

from amplifier.cli.doctor import sockets
from amplifier.cli.doctor.deployment import Deployment
from amplifier.cli.doctor.findings import LIMIT, Check, Outcome, ok
from amplifier.cli.doctor.smoke import Smoke


def checks(deployment: Deployment, smoke: Smoke, origin: str) -> list[Check]:
    """Returns the checks. `origin` says where the credentials are from. The last one deletes what others made."""

    async def given() -> Outcome:
        return ok(origin)

    def used(name: str, run: Callable[[], Awaitable[Outcome]], limit: float = LIMIT) -> Check:
        return Check(name, run, ("append",), limit)

    return [
        Check("credentials", given),
        Check("name resolution", deployment.resolve),
        Check("TCP", deployment.connect, ("name resolution",)),
        Check("TLS", deployment.secure, ("TCP",)),
        Check("health", deployment.answer, ("TCP",), unless_failed=("TLS",)),
        Check("ready", deployment.ready, ("health",)),
        Check("clock", deployment.clock, ("health",)),
        Check("sign-in", smoke.identify, ("health",)),
        Check("create", smoke.create, ("sign-in",)),
        Check("append", smoke.append, ("create",)),
        used("read", smoke.read),
        used("search", smoke.search),
        used("events", smoke.stream, 9),
        used("WebSocket", lambda: sockets.follow(smoke)),
        Check("delete", smoke.clean_up, always=True),
    ]
