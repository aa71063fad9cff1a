"""Reads secrets from Azure Key Vault, with limits for its waits and its errors in words."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

from amplifier.azure.chain import CredentialError
from amplifier.azure.credential import shared
from amplifier.errors import one_line
from amplifier.secret import Version
from amplifier.secret_references import Unreadable

if TYPE_CHECKING:
    from azure.core.exceptions import HttpResponseError
    from azure.keyvault.secrets import SecretClient, SecretProperties

_MOST_LISTED = 1000  # versions
_LONGEST_WAIT = 3.0  # seconds between two attempts, whatever the vault asks for
_LIMITS = {"connection_timeout": 3, "read_timeout": 5}  # seconds
_ATTEMPTS = {"retry_total": 3, "retry_backoff_factor": 0.2, "retry_backoff_max": _LONGEST_WAIT}
_LONGEST = 300  # characters of a reason
_REFUSALS = {
    "SecretDisabled": "is disabled there: enable it, or refer to another one",
    "ForbiddenByFirewall": (
        "is behind a firewall that refuses this machine's address: allow it under Networking of the vault, or use a "
        "private endpoint"
    ),
}


class VaultSecret:
    """A secret of a vault, in a fixed version or in the newest one that is enabled and valid."""

    def __init__(self, vault: str, name: str, version: str | None, former: int) -> None:
        self._vault, self._name, self._version, self._former = vault, name, version, former
        self.fixed = version is not None
        self._client: SecretClient | None = None

    def read(self, held: tuple[Version, ...]) -> tuple[Version, ...]:
        """Returns the versions, the newest first, or `held` if the vault has no other ones. Raises Unreadable."""
        with self._refusals():
            if self._version is not None:
                return (self._get(self._version, 0.0),)
            wanted = self._wanted()
            texts = {one.id: one.text for one in held}
            return tuple(
                Version(texts[id_], since, id_) if id_ in texts else self._get(id_, since) for id_, since in wanted
            )

    def _wanted(self) -> list[tuple[str, float]]:
        """Returns ids and beginnings of the versions to read: the newest valid one, and enabled former ones."""
        listed = self._connected().list_properties_of_secret_versions(self._name)
        begun = [
            one for _, one in zip(range(_MOST_LISTED), listed, strict=False) if one.enabled and _since(one) <= _now()
        ]
        begun.sort(key=_since, reverse=True)
        valid = next((place for place, one in enumerate(begun) if not _has_expired(one)), None)
        if valid is None:
            raise Unreadable(
                f"refers to the secret {self._name} of {self._vault}, which has no version that is enabled and valid "
                "now: set a new version"
            )
        return [(str(one.version), _since(one)) for one in begun[valid : valid + 1 + self._former]]

    def _get(self, version: str, since: float) -> Version:
        found = self._connected().get_secret(self._name, version)
        if not found.value:
            raise Unreadable(f"refers to the secret {self._name} of {self._vault}, whose version {version} has no text")
        return Version(found.value, since, version)

    def _connected(self) -> "SecretClient":
        if self._client is None:
            try:
                from azure.core.pipeline.policies import RetryPolicy
                from azure.keyvault.secrets import SecretClient
            except ImportError:
                raise Unreadable(
                    "refers to a key vault: Azure's packages are missing, run: pip install 'amplifier-api[azure]'"
                ) from None

            class Patient(RetryPolicy[Any, Any]):
                """Waits between attempts, but not for as long as a vault may ask for."""

                def get_retry_after(self, response: Any) -> float | None:
                    asked = super().get_retry_after(response)
                    return asked and min(asked, _LONGEST_WAIT)

            self._client = SecretClient(self._vault, shared(), retry_policy=Patient(**_ATTEMPTS), **_LIMITS)
        return self._client

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        """Raises Unreadable for every error of Azure's packages in the context."""
        try:
            yield
        except (Unreadable, CredentialError) as error:
            raise Unreadable(str(error)) from None
        except Exception as error:  # of any kind: the vault's answer may be anything
            where = f"refers to the secret {self._name} of {self._vault}, which "
            raise Unreadable(where + _reason(error)) from None


def _reason(error: Exception) -> str:
    from azure.core.exceptions import HttpResponseError, ServiceRequestError, ServiceResponseError

    if isinstance(error, HttpResponseError):
        return _refusal(error)
    if isinstance(error, ServiceRequestError | ServiceResponseError):
        return (
            f"cannot be reached: {_brief(error)}. Check KEY_VAULT_URL, the resolution of its name (a private endpoint "
            "has its own) and the firewalls between"
        )
    return f"did not answer as a key vault does: {_brief(error)}. Check KEY_VAULT_URL"


def _refusal(error: "HttpResponseError") -> str:
    """Returns the reason for the status and the code of an answer."""
    status = error.status_code
    code = str(getattr(getattr(error.error, "innererror", None) or {}, "get", lambda _: "")("code") or "")
    if status == 404:
        return "has no such secret or version: set it there, or correct its name (az keyvault secret list)"
    if code in _REFUSALS:
        return _REFUSALS[code]
    if status == 403:
        return (
            "does not let this identity read it: assign it the role Key Vault Secrets User on the vault, or in an "
            f"access policy the rights Get and List ({_brief(error)})"
        )
    if status == 401:
        return f"refuses the token of this identity: is it of the vault's tenant? ({_brief(error)})"
    if status == 429 or (status or 0) >= 500:
        return f"is busy or fails at the moment (status {status}): try again"
    return f"refuses the request (status {status}): {_brief(error)}"


def _brief(error: Exception) -> str:
    return one_line(error)[:_LONGEST]


def _now() -> float:
    return time.time() + 5  # seconds that the vault's clock may be ahead


def _since(version: "SecretProperties") -> float:
    """Returns the time from which a version counts, in seconds since 1970."""
    return max(_seconds(version.created_on), _seconds(version.not_before))


def _has_expired(version: "SecretProperties") -> bool:
    return version.expires_on is not None and _seconds(version.expires_on) <= time.time()


def _seconds(at: datetime | None) -> float:
    return 0.0 if at is None else at.timestamp()
