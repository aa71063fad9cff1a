"""Verifies the signatures of notifications, since every login of the database may send any.

The database signs them in the function `announce` of the migrations, with keys that only the service's role can read.
"""

import hashlib
import hmac
import logging
import re
import time

logger = logging.getLogger(__name__)

CHANNEL = "amplifier"
KEYS = (
    "select inner_key, outer_key, extract(epoch from clock_timestamp())::double precision as seconds"
    " from public.notification_keys"
)
_SIGNED = re.compile(r"([0-9a-f]{32}) (([0-9]{16}) (.*))", re.DOTALL)
_WINDOW = 60.0  # seconds of the database's clock that a notification is valid
_WARN_EVERY = 60.0  # seconds


class Signatures:
    """The signing keys, the database's clock, and the signatures that were accepted already."""

    def __init__(self) -> None:
        self._inner = self._outer = b""
        self._ahead = 0.0  # seconds that the database's clock is ahead of this process's monotonic one
        self._heard: set[str] = set()
        self._heard_before: set[str] = set()
        self._forgot_at = self._warned_at = float("-inf")
        self._refused = 0

    def renew(self, inner_key: bytes, outer_key: bytes, seconds: float) -> None:
        """Takes a row of the query `KEYS`. Only the database's clock counts, so that hosts' clocks need not agree."""
        self._inner, self._outer, self._ahead = inner_key, outer_key, seconds - time.monotonic()

    def database_time(self) -> float:
        """Returns the time of the database's clock, in seconds since the epoch."""
        return time.monotonic() + self._ahead

    def verified(self, notification: str) -> str | None:
        """Returns the payload of a notification that the database signed, or None. Accepts each signature once."""
        match = _SIGNED.fullmatch(notification)
        fault = "it is not signed" if match is None else self._fault(match[1], match[2], int(match[3]) / 1_000_000)
        if match is not None and fault is None:
            return match[4]
        self._refused += 1
        if time.monotonic() > self._warned_at + _WARN_EVERY:
            logger.warning("%d notifications were ignored, the last because %s", self._refused, fault)
            self._warned_at, self._refused = time.monotonic(), 0
        return None

    def _fault(self, signature: str, signed: str, seconds: float) -> str | None:
        inner = hashlib.sha256(self._inner + signed.encode(errors="surrogatepass")).digest()
        expected = hashlib.sha256(self._outer + inner).hexdigest()[: len(signature)]
        if not (self._inner and hmac.compare_digest(signature, expected)):
            return "its signature is wrong"
        now = time.monotonic()
        if abs(now + self._ahead - seconds) > _WINDOW:
            return "it is too old"
        if now > self._forgot_at + 2 * _WINDOW:  # no signature that is forgotten is still valid
            self._heard_before, self._heard, self._forgot_at = self._heard, set(), now
        if signature in self._heard or signature in self._heard_before:
            return "it is a copy"
        self._heard.add(signature)
        return None
