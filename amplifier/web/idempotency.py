"""Idempotency-Key: compares a repeated request with the first one and stores and replays the answer.

The transaction around it lives in unit_of_work.py.
"""

import contextlib
import hashlib
import hmac
import os
import re
from collections.abc import Mapping
from typing import Any

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from amplifier.errors import Problem
from amplifier.queries.registry import QuerySet
from amplifier.secret import Secret
from amplifier.web.responses import Answer

_KEY = re.compile(r"[\x21-\x7e]{1,255}\Z")
_NONCE = 12  # bytes, for AES-GCM
_RETRY = {"Retry-After": "1"}


class _Shown(msgspec.Struct):
    """The ids in an answer, by which the right to see it again is checked."""

    session_id: str | None = None
    config_id: str | None = None
    app_id: str | None = None


class Repeatable:
    """One request with an Idempotency-Key (IETF draft-ietf-httpapi-idempotency-key-header), inside its transaction.

    The key belongs to the calling application and user. The answer is replayed as long as they may see all that it
    shows. It is stored encrypted with the key and the service's SECRET_KEY, because it may show an API key or a token.
    """

    def __init__(self, queries: QuerySet, caller: Any, secret_key: Secret, key: str, request: bytes) -> None:
        """Raises Problem 422 for a key that is not 1 to 255 visible ASCII characters."""
        if not _KEY.match(key):
            raise Problem(422, "Idempotency-Key: must be 1 to 255 visible ASCII characters, best a new UUID")
        self._queries, self._caller, self._is_hidden = queries, caller, False
        whose = f"{caller.app_id}\n{caller.user_id}\n{key}"
        self._place = {
            "actor_id": caller.user_id,
            "actor_app_id": caller.app_id,
            "key_hash": hashlib.sha256(whose.encode()).hexdigest(),
        }
        self._request_hash = hashlib.sha256(request).hexdigest()
        self._secret_key, self._key = secret_key, key
        self._context = "\n".join(self._place.values()).encode()

    def entry(self, status: int) -> dict[str, Any]:
        """Returns the arguments of idempotency.keep for a statement that stores its own answer, with this status."""
        return {**self._place, "request_hash": self._request_hash, "answer_status": status}

    async def replay(self) -> Answer | None:
        """Locks the key until the transaction ends. Returns the stored answer, or None if there is none.

        Also returns None if the caller may not see the answer any more: the handler then refuses the caller as it
        refuses strangers, or else `keep` raises and rolls the change back.

        Raises Problem 409 while another request holds the key, and 422 if the key was used for another request.
        """
        row = await self._queries.idempotency.claim(**self._place)
        if not row["is_free"]:
            raise Problem(409, "A request with this Idempotency-Key is being carried out: try again", headers=_RETRY)
        if row["status"] is None or row["response"] is None:
            return None
        if row["request_hash"] != self._request_hash:
            raise Problem(422, "Idempotency-Key: was used for another request; use a new key for each")
        if not (row["is_visible"] and self._may_see(row["app_ids"])):
            self._is_hidden = True
            return None
        body = self._decrypted(row["response"]) if row["is_encrypted"] else row["response"]
        return Answer(row["status"], body, row["etag"])

    async def keep(self, answer: Answer, named: Mapping[str, str]) -> None:
        """Stores the answer in the transaction; `named` are the parameters of the path.

        Raises Problem 409 if another request was first, and 404 if there is an answer that the caller may not see.
        """
        if self._is_hidden:
            raise Problem(404, "What this Idempotency-Key was used for is not there any more, or not yours")
        shown = _shown(answer.body)
        ids: dict[str, Any] = {
            f"{kind}s": [one for one in (named.get(kind), getattr(shown, kind)) if one is not None]
            for kind in _Shown.__struct_fields__
        }
        nonce = os.urandom(_NONCE)
        kept = await self._queries.idempotency.store(
            **self._place,
            request_hash=self._request_hash,
            status=answer.status,
            response=nonce + self._cipher(self._secret_key.texts()[0]).encrypt(nonce, answer.body, self._context),
            etag=answer.etag,
            **ids,
        )
        if not kept:
            raise Problem(
                409, "A request with this Idempotency-Key was carried out just now: try again", headers=_RETRY
            )

    def _may_see(self, app_ids: list[str] | None) -> bool:
        return self._caller.is_admin or all(app_id == self._caller.app_id for app_id in app_ids or ())

    def _decrypted(self, response: bytes) -> bytes:
        for text in self._secret_key.texts():
            with contextlib.suppress(InvalidTag):
                return self._cipher(text).decrypt(response[:_NONCE], response[_NONCE:], self._context)
        raise Problem(
            409, "The request was carried out, and its answer cannot be shown again: the service's SECRET_KEY changed"
        )

    def _cipher(self, secret_key: str) -> AESGCM:
        return AESGCM(hmac.digest(secret_key.encode(), self._key.encode(), "sha256"))


def _shown(body: bytes) -> _Shown:
    """Returns the ids in an answer's body, all None for a body that is not an object."""
    try:
        return msgspec.json.decode(body, type=_Shown)
    except msgspec.MsgspecError:
        return _Shown()
