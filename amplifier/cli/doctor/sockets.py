"""The check of WebSockets: follows a session through one, and waits for the event of a message."""

import asyncio
import time

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, InvalidStatus, WebSocketException

from amplifier.cli.doctor.findings import Fault, Outcome, failed, ok
from amplifier.cli.doctor.smoke import Smoke
from amplifier.errors import one_line

_OPENING, _ARRIVING = 2.0, 2.0  # seconds
_UPGRADE = (
    "let the proxy pass the handshake on: nginx: proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; "
    "proxy_set_header Connection upgrade; Azure Front Door and Application Gateway: WebSocket on for this route"
)


async def follow(smoke: Smoke) -> Outcome:
    """Opens a WebSocket of the session, appends a message and waits for its event."""
    word = f"{smoke.word}socket"
    socket = await _opened(smoke)
    try:
        await smoke.append_to_session(word)
        began = time.monotonic()
        async with asyncio.timeout(_ARRIVING):
            while word not in str(await socket.recv()):
                pass
        return ok(f"the event of a message arrives after {(time.monotonic() - began) * 1000:.0f} ms")
    except TimeoutError:
        return failed("the event of a message does not arrive", "a proxy holds the messages of sockets back", _UPGRADE)
    except WebSocketException as error:
        return failed(one_line(error), "the socket is closed while it is used", "see the log of the proxy")
    finally:
        socket.transport.abort()


async def _opened(smoke: Smoke) -> ClientConnection:
    """Returns an open socket. Raises Fault."""
    deployment = smoke.deployment
    path = f"/sessions/{smoke.session}/ws"
    try:
        return await connect(
            f"ws{deployment.url.removeprefix('http')}{path}",
            additional_headers=deployment.credentials,
            ssl=deployment.context if deployment.is_secure else None,
            open_timeout=_OPENING,
            proxy=None,
        )
    except InvalidStatus as error:
        raise Fault(f"GET {path}: {error.response.status_code}", "the handshake is refused", _UPGRADE) from error
    except (InvalidHandshake, EOFError) as error:
        raise Fault(f"GET {path}: {one_line(error)}", "the handshake is not answered as one", _UPGRADE) from error
    except (OSError, TimeoutError) as error:
        raise Fault(f"GET {path}: {one_line(error) or 'no answer'}", "no socket can be opened", _UPGRADE) from error
