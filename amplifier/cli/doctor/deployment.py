"""A running service at an address: how its client reaches it, and the checks up to the first answer."""

import email.utils
import ssl
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import SplitResult, urlsplit

import httpx

from amplifier.cli.doctor import answers, network, tls
from amplifier.cli.doctor.database import skew
from amplifier.cli.doctor.findings import Fault, Outcome, failed, ok, skipped, warning
from amplifier.errors import one_line

_LIMIT = 4.0  # seconds for a request, less than that of a check


class Deployment:
    """A service at a URL, which may have a path in front of those of the API."""

    def __init__(self, url: str, headers: dict[str, str] | None = None) -> None:
        """Raises ValueError if the URL is not one that `parsed` accepts."""
        parts = parsed(url)
        self.is_secure = parts.scheme == "https"
        self.url = url.rstrip("/")
        self.host = network.Host(str(parts.hostname), parts.port or (443 if self.is_secure else 80), "--url")
        self.addresses: list[str] = []
        self.credentials = headers or {}
        self.context = ssl.create_default_context()
        # the proxies of the environment are not used: the checks before go to the host itself, too
        self.client = httpx.AsyncClient(
            base_url=self.url, headers=self.credentials, timeout=_LIMIT, verify=self.context, trust_env=False
        )

    async def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Returns the answer of a request. Raises Fault for errors of the connection and answers that are errors."""
        try:
            response = await self.client.request(method, path, **options)
        except httpx.HTTPError as error:
            raise broken(f"{method} {path}", error) from error
        if not response.is_success:
            raise answers.fault(response)
        return response

    async def json(self, method: str, path: str, **options: Any) -> Any:
        """Returns the decoded answer of a request. Raises Fault, also if the answer is no JSON."""
        response = await self.request(method, path, **options)
        try:
            return response.json()
        except ValueError as error:
            kind = response.headers.get("content-type", "no content type")
            raise Fault(
                f"{method} {path}: {response.status_code} with {kind}",
                "another program than Amplifier answers here",
                "correct --url, with the prefix that a proxy gives the service; see the routes of the proxy",
            ) from error

    async def resolve(self) -> Outcome:
        """Resolves the name of the host."""
        self.addresses = await network.addresses(self.host)
        return ok(network.shown(self.host, self.addresses))

    async def connect(self) -> Outcome:
        """Connects to the host."""
        streams = await network.connected(self.host)
        await tls.closed(streams)
        return ok(f"{self.host} accepts connections")

    async def secure(self) -> Outcome:
        """Does a handshake, and looks at the certificate."""
        if not self.is_secure:
            if network.is_loopback(self.addresses):
                return skipped("because the address is http, on this machine")
            remedy = "use https, which is the task of a proxy in front of the service"
            return warning("the address is http", "keys, tokens and messages travel in clear", remedy)
        secured = await self._handshake(self.context)
        if secured.days_left < tls.SOON:
            problem = f"the certificate expires in {secured.days_left} days"
            return warning(str(secured), problem, "renew it, and see why it is not renewed by itself")
        return ok(f"{secured}, {secured.days_left} days left")

    async def _handshake(self, context: ssl.SSLContext) -> tls.Secured:
        """Returns what is seen. Raises Fault if `context` refuses it."""
        streams = await network.connected(self.host)
        try:
            return await tls.handshake(streams, context, self.host)
        except OSError as error:
            shown = None
            if isinstance(error, ssl.SSLCertVerificationError):
                shown = await self._handshake(tls.unverified())
            raise tls.fault(error, self.host, shown, "SSL_CERT_FILE") from error
        finally:
            await tls.closed(streams)

    async def answer(self) -> Outcome:
        """Asks for the health of the service."""
        health = await self.json("GET", "/health")
        if not isinstance(health, dict) or health.get("status") not in ("healthy", "degraded"):
            remedy = "correct --url, and see the routes of the proxy"
            return failed("GET /health has no status", "another program than Amplifier answers here", remedy)
        seen = f"Amplifier {health.get('version')}, {health['status']}"
        if health["status"] == "degraded":
            remedy = "where the service runs, and with its settings: amplifier-api doctor"
            return failed(seen, "the service does not reach its database", remedy)
        return ok(seen)

    async def ready(self) -> Outcome:
        """Asks whether the service is ready for requests, if its release can say so."""
        try:
            response = await self.client.get("/health/ready")
        except httpx.HTTPError as error:
            raise broken("GET /health/ready", error) from error
        if response.status_code == 404:
            return skipped("because this release of the service has no GET /health/ready")
        if response.status_code == 503 and answers.is_own(response):
            problem = response.json()
            wrong = ", ".join(name for name, passed in problem.get("checks", {}).items() if passed is False)
            remedy = "where the service runs, and with its settings: amplifier-api doctor"
            return failed(f"GET /health/ready: 503, {wrong}", problem["detail"], remedy)
        if response.status_code != 200:
            raise answers.fault(response)
        return ok("the service takes requests")

    async def clock(self, now: Callable[[], float] = time.time) -> Outcome:
        """Compares the clock of the service, in its header Date, with that of this machine."""
        before = now()
        response = await self.request("GET", "/health")
        after = now()
        try:
            there = email.utils.parsedate_to_datetime(response.headers["date"]).timestamp()
        except (KeyError, ValueError):
            return skipped("because answers have no header Date")
        return skew(there + 0.5 - (before + after) / 2, "the service", (after - before) / 2 + 1)

    async def close(self) -> None:
        """Closes the connections."""
        await self.client.aclose()


def broken(request: str, error: Exception) -> Fault:
    """Returns the fault for a request without an answer."""
    seen = f"{request}: {one_line(error) or type(error).__name__}"
    if isinstance(error, httpx.TimeoutException):
        remedy = "see the load and log of the service, and of the proxy; see GET /health/ready"
        return Fault(f"{request}: no answer within {_LIMIT:.0f} s", "the service or a proxy is too slow", remedy)
    if isinstance(error, httpx.RemoteProtocolError):
        return Fault(
            seen,
            "the connection ends without a whole answer",
            "see whether the address needs https, and the logs of the proxy and the service; a proxy that reuses "
            "connections needs a shorter idle timeout than KEEP_ALIVE of the service",
        )
    return Fault(seen, "the connection breaks", "see the logs of the proxy and the service")


def parsed(url: str) -> SplitResult:
    """Returns the parts of a service's URL. Raises ValueError if it is not http(s)://host[:port][/path]."""
    parts = urlsplit(url)
    is_whole = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    if not is_whole or parts.query or parts.fragment or parts.username is not None:
        raise ValueError("not of the form https://host:port/path")
    return parts
