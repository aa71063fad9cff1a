"""The credential of this process at Microsoft Entra: keeps its tokens, renews them, and limits every wait.

azure-identity finds the credential: a service principal or a workload identity in the environment, a managed identity,
or the login of a developer. Clients of Azure's packages take the credential as it is.
"""

import asyncio
import logging
import threading
import time
from concurrent.futures import Future
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from amplifier.azure.chain import CredentialError, chain, no_token, refusal
from amplifier.secret import Secret

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken, AccessTokenInfo, TokenRequestOptions
    from azure.identity import DefaultAzureCredential

logger = logging.getLogger(__name__)

LIMIT = 15.0  # seconds that a caller waits for a token; the Azure CLI takes a few
_AHEAD = 300.0  # seconds before its expiry that a token is renewed, unless it says when
_PAUSE = 30.0  # seconds between two attempts to renew a token, and between two tokens that may be forgotten
_REPEAT = 1.0  # seconds that a refusal counts for further callers, too
_NEVER = float("-inf")


class Key(NamedTuple):
    """The purpose of a token. `tenant` is that of a server's challenge."""

    scope: str
    tenant: str | None = None


class Credential:
    """Returns tokens from memory, and requests them in threads: one request at a time for each scope.

    A token is renewed ahead of its expiry, without a caller that waits. If that fails, it serves until it expires.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._azure: DefaultAzureCredential | None = None
        self._tokens: dict[Key, AccessTokenInfo] = {}
        self._masked: dict[Key, Secret] = {}  # the log masks them, whoever writes it
        self._requests: dict[Key, Future[AccessTokenInfo]] = {}
        self._refusals: dict[Key, tuple[float, CredentialError]] = {}
        self._refused: dict[Key, str] = {}  # by a server, until there is another one
        self._timers: dict[Key, threading.Timer] = {}
        self._forgot_at = _NEVER

    def token(self, scope: str, patience: float = 0) -> str:
        """Returns a token for `scope`, such as `https://vault.azure.net/.default`. Raises CredentialError.

        Tries again for `patience` seconds if a credential is there that gives no token, as while a machine starts.
        """
        deadline, is_warned = time.monotonic() + patience, False
        while True:
            try:
                return self._awaited(Key(scope)).token
            except CredentialError as error:
                if not error.may_pass or time.monotonic() + _REPEAT > deadline:
                    raise
                if not is_warned:
                    logger.warning("trying again for %.0f s: %s", patience, error)
                is_warned = True
            time.sleep(_REPEAT)

    async def token_soon(self, scope: str) -> str:
        """Returns what `token` does, without blocking the event loop. Raises CredentialError."""
        key = Key(scope)
        if (held := self._accepted(key)) is not None:
            return held.token
        request = self._request(key)
        try:
            async with asyncio.timeout(LIMIT):
                return (await asyncio.wrap_future(request)).token
        except TimeoutError:
            return self._second_best(key, self._gave_up(key, request)).token
        except CredentialError as error:
            return self._second_best(key, error).token

    def forget(self, scope: str, token: str) -> bool:
        """Replaces a token that a server refused, also in azure-identity's memory. Returns whether to try another one.

        A token is replaced once in 30 seconds, since a login without the right to enter is refused with every token. If
        there is no new one, the refused one is tried again: the server may have been wrong.
        """
        key = Key(scope)
        with self._lock:
            held = self._tokens.get(key)
            if held is None or held.token != token or self._refused.get(key) == token:  # of another caller
                return True
            if time.monotonic() < self._forgot_at + _PAUSE:
                return False
            self._forgot_at = time.monotonic()
            self._refused[key] = token
            self._azure = None
            return True

    def get_token_info(self, *scopes: str, options: "TokenRequestOptions | None" = None) -> "AccessTokenInfo":
        """Returns a token as clients of Azure's packages ask for it. Raises CredentialError."""
        key = Key(scopes[0], (options or {}).get("tenant_id"))
        if options and options.get("claims"):  # the server demands a token other than the present one
            return self._fetched(key, options)
        return self._awaited(key)

    def get_token(self, *scopes: str, **options: Any) -> "AccessToken":
        """Returns what `get_token_info` does, as older clients ask for it. Raises CredentialError."""
        from azure.core.credentials import AccessToken

        given: Any = {name: options[name] for name in ("claims", "tenant_id") if options.get(name)}
        found = self.get_token_info(*scopes, options=given)
        return AccessToken(found.token, found.expires_on)

    def _held(self, key: Key) -> "AccessTokenInfo | None":
        held = self._tokens.get(key)
        return held if held is not None and held.expires_on > time.time() else None

    def _accepted(self, key: Key) -> "AccessTokenInfo | None":
        held = self._held(key)
        return held if held is not None and held.token != self._refused.get(key) else None

    def _second_best(self, key: Key, error: CredentialError) -> "AccessTokenInfo":
        """Returns a token that was refused once, since there is no new one, or raises the error."""
        if (held := self._held(key)) is None:
            raise error from None
        return held

    def _awaited(self, key: Key) -> "AccessTokenInfo":
        if (held := self._accepted(key)) is not None:
            return held
        request = self._request(key)
        try:
            return request.result(LIMIT)
        except TimeoutError:
            return self._second_best(key, self._gave_up(key, request))
        except CredentialError as error:
            return self._second_best(key, error)

    def _gave_up(self, key: Key, request: "Future[AccessTokenInfo]") -> CredentialError:
        """Returns the error for a request without an answer, and lets the next caller start another one."""
        self._end(key, request)
        return no_token(key.scope, f" within {LIMIT:.0f} s")

    def _request(self, key: Key) -> "Future[AccessTokenInfo]":
        """Returns the request that is under way, or starts one in a thread, which does not keep the process alive."""
        with self._lock:
            if (under_way := self._requests.get(key)) is not None:
                return under_way
            request: Future[AccessTokenInfo] = Future()
            request.set_running_or_notify_cancel()  # a caller that is cancelled does not cancel it for the others
            refused_at, refused = self._refusals.get(key, (_NEVER, None))
            if refused is not None and time.monotonic() < refused_at + _REPEAT:
                request.set_exception(refused)
                return request
            self._requests[key] = request
        threading.Thread(target=self._run, args=(key, request), name="entra-token", daemon=True).start()
        return request

    def _run(self, key: Key, request: "Future[AccessTokenInfo]") -> None:
        try:
            found = self._fetched(key, {"tenant_id": key.tenant} if key.tenant else {})
        except CredentialError as error:
            self._note_refusal(key, error)
            self._end(key, request)
            request.set_exception(error)
        else:
            self._keep(key, found)
            self._end(key, request)
            request.set_result(found)

    def _fetched(self, key: Key, options: "TokenRequestOptions") -> "AccessTokenInfo":
        with self._lock:
            azure = self._azure = self._azure or chain()
        try:
            return azure.get_token_info(key.scope, options=options)
        except Exception as error:  # of any kind: azure-identity passes on those of its HTTP client
            with self._lock:
                self._azure = None  # it would answer with the same error for a minute, without a request
            raise refusal(key.scope, error) from None

    def _keep(self, key: Key, found: "AccessTokenInfo") -> None:
        now = time.time()
        if found.expires_on <= now:
            logger.warning("a new token for %s has expired by this machine's clock already: set the clock", key.scope)
        with self._lock:
            self._tokens[key], self._masked[key] = found, Secret(found.token)
            self._refused.pop(key, None)
        self._renew_after(key, min(found.refresh_on or found.expires_on, found.expires_on - _AHEAD) - now)

    def _note_refusal(self, key: Key, error: CredentialError) -> None:
        with self._lock:
            self._refusals[key] = (time.monotonic(), error)
            held = self._tokens.get(key)
        if held is not None:
            minutes = max(0.0, held.expires_on - time.time()) / 60
            logger.warning("a token could not be renewed; the present one is valid for %.0f min. %s", minutes, error)
            self._renew_after(key, 0)

    def _end(self, key: Key, request: "Future[AccessTokenInfo]") -> None:
        with self._lock:
            if self._requests.get(key) is request:
                del self._requests[key]

    def _renew_after(self, key: Key, seconds: float) -> None:
        timer = threading.Timer(max(seconds, _PAUSE), self._request, [key])
        timer.daemon = True
        with self._lock:
            if (former := self._timers.get(key)) is not None:
                former.cancel()
            self._timers[key] = timer
        timer.start()


@cache
def shared() -> Credential:
    """Returns the credential of this process."""
    return Credential()
