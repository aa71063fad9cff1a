"""Idempotency-Key: a request that is repeated gets the answer again, and nothing is done twice."""

import hashlib
import hmac
import os
import re
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from amplifier.answers import Answer
from amplifier.problems import Problem
from amplifier.queries import Queries

_KEY = re.compile(r"[\x21-\x7e]{1,255}\Z")
_NONCE = 12  # bytes, as AES-GCM has it
_RETRY = {"Retry-After": "1"}


class Repeatable:
    """One request with an Idempotency-Key (IETF draft-ietf-httpapi-idempotency-key-header), inside its transaction.

    The key counts for the calling application and user. What is kept of an answer can be read only by who has the key
    and the service's SECRET_KEY, since it may show an API key or a token.
    """

    def __init__(self, queries: Queries, caller: Any, secret_key: str, key: str, request: bytes) -> None:
        """Raises Problem 422 for a key of another form than 1 to 255 visible ASCII characters."""
        if not _KEY.match(key):
            raise Problem(422, "Idempotency-Key: must be 1 to 255 visible ASCII characters, best a new UUID")
        self._queries = queries
        whose = f"{caller.app_id}\n{caller.user_id}\n{key}"
        self._place = {
            "actor_id": caller.user_id,
            "actor_app_id": caller.app_id,
            "key_hash": hashlib.sha256(whose.encode()).hexdigest(),
        }
        self._request_hash = hashlib.sha256(request).hexdigest()
        self._cipher = AESGCM(hmac.digest(secret_key.encode(), key.encode(), "sha256"))
        self._context = "\n".join(self._place.values()).encode()

    async def replay(self) -> Answer | None:
        """The answer that was given before, or none, and the key is taken until the transaction ends.

        Raises Problem 409 while another request has the key, and 422 when it belongs to another request.
        """
        row = await self._queries.idempotency.claim(**self._place)
        if not row["is_free"]:
            raise Problem(409, "A request with this Idempotency-Key is being carried out: try again", headers=_RETRY)
        if row["status"] is None or row["response"] is None:
            return None
        if row["request_hash"] != self._request_hash:
            raise Problem(422, "Idempotency-Key: was used for another request; use a new key for each")
        return Answer(
            row["status"], self._decrypted(row["response"]), row["etag"], [(b"idempotency-replayed", b"true")]
        )

    async def keep(self, answer: Answer) -> None:
        """Stores the answer in the transaction. Raises Problem 409 when another request was first."""
        nonce = os.urandom(_NONCE)
        kept = await self._queries.idempotency.store(
            **self._place,
            request_hash=self._request_hash,
            status=answer.status,
            response=nonce + self._cipher.encrypt(nonce, answer.body, self._context),
            etag=answer.etag,
        )
        if not kept:
            raise Problem(
                409, "A request with this Idempotency-Key was carried out just now: try again", headers=_RETRY
            )

    def _decrypted(self, response: bytes) -> bytes:
        try:
            return self._cipher.decrypt(response[:_NONCE], response[_NONCE:], self._context)
        except InvalidTag:
            raise Problem(
                409,
                "The request was carried out, and its answer cannot be shown again: the service's SECRET_KEY changed",
            ) from None
