"""Two processes on one database, with authentication, for calls of several users through either process."""

import contextlib
from collections.abc import Iterator
from typing import NamedTuple

from amplifier.web.authentication import generate_key
from tests.conftest import SECRET, token
from tests.support.databases import execute
from tests.support.soak import services

_LATER = 2**40  # expiry of tokens, in seconds since 1970


class Pair(NamedTuple):
    """The addresses of the processes, and the key of the application `app`."""

    urls: list[str]
    key: str

    def headers(self, user_id: str) -> dict[str, str]:
        """Returns the credentials of a user."""
        return {"X-API-Key": self.key, "Authorization": f"Bearer {token(sub=user_id, exp=_LATER)}"}


@contextlib.contextmanager
def pair(dsn: str, is_admin: bool = False, count: int = 2) -> Iterator[Pair]:
    """Runs `count` processes until the context ends. None may have logged an unexpected error."""
    key = generate_key()
    values = f"'app', 'app', '{key.hash}', '{key.prefix}', {is_admin}"
    execute(
        dsn, f"insert into applications (app_id, app_name, api_key_hash, api_key_prefix, is_admin) values ({values})"
    )
    with services(count, dsn, AUTH_REQUIRED="true", SECRET_KEY=SECRET) as processes:
        yield Pair([process.url for process in processes], key.text)
        for process in processes:
            assert "Traceback" not in process.output, process.output
