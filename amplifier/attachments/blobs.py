"""Blobs of one container in Azure Blob Storage. Azure's client works in threads; its packages are imported late."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, BinaryIO, TypeVar

from amplifier.azure.chain import CredentialError
from amplifier.azure.credential import shared
from amplifier.errors import OperatorError, Unavailable, one_line

logger = logging.getLogger(__name__)

_LIMITS: dict[str, Any] = {"connection_timeout": 3, "read_timeout": 20}  # seconds
_ATTEMPTS: dict[str, Any] = {"retry_total": 2, "initial_backoff": 1, "increment_base": 2}
_BLOCK = 4 * 1024 * 1024  # bytes of a large blob in memory at a time
_LONGEST = 300  # characters of a reason
Result = TypeVar("Result")


class Blobs:
    """A container, with the credential of this process."""

    def __init__(self, url: str) -> None:
        """Raises OperatorError if Azure's packages are missing."""
        try:
            from azure.core.exceptions import AzureError, ResourceExistsError, ResourceNotFoundError
            from azure.storage.blob import ContainerClient
        except ImportError:
            raise OperatorError(
                "ATTACHMENTS_AZURE_URL needs more packages: pip install 'amplifier-api[azure]'"
            ) from None
        self._error, self._absent, self._present = AzureError, ResourceNotFoundError, ResourceExistsError
        logging.getLogger("azure.core.pipeline.policies.http_logging_policy").setLevel(logging.WARNING)
        credential: Any = shared() if url.startswith("https://") else None
        self._container: Any = ContainerClient.from_container_url(
            url,
            credential=credential,
            max_single_put_size=_BLOCK,
            max_block_size=_BLOCK,
            max_single_get_size=_BLOCK,
            **_LIMITS,
            **_ATTEMPTS,
        )

    async def write(self, name: str, file: BinaryIO, size: int) -> None:
        """Writes a new blob from a file. Raises Unavailable."""

        def write() -> None:
            file.seek(0)
            self._container.upload_blob(name, file, length=size, overwrite=True, max_concurrency=1)

        await self._done(write)

    async def read(self, name: str, start: int, size: int) -> bytes:
        """Returns bytes of a blob, or nothing if there is no such blob. Raises Unavailable."""

        def read() -> bytes:
            try:
                return bytes(self._container.download_blob(name, offset=start, length=size).readall())
            except self._absent:
                return b""

        return await self._done(read)

    async def remove(self, name: str) -> None:
        """Removes a blob, if it is there. Raises Unavailable."""

        def remove() -> None:
            try:
                self._container.delete_blob(name)
            except self._absent:
                return

        await self._done(remove)

    async def _done(self, act: Callable[[], Result]) -> Result:
        try:
            return await asyncio.to_thread(act)
        except (self._error, CredentialError) as error:
            logger.warning("Azure Blob Storage: %s", one_line(error)[:_LONGEST])
            raise Unavailable("The storage of attachments does not answer.") from error
