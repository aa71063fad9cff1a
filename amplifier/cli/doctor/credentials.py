"""The credentials with which doctor calls a service: an API key and a user's token, given or made."""

import os
import time
from pathlib import Path
from typing import NamedTuple

from amplifier.errors import InputError
from amplifier.secret import Secret
from amplifier.settings import DEFAULT_SECRET_KEY, Settings

USER = "amplifier-doctor"  # user of the tokens that it makes
_VALID = 300  # seconds


class Credentials(NamedTuple):
    """The headers of requests, and where they come from. The secrets are kept so that no finding shows them."""

    headers: dict[str, str]
    origin: str
    secrets: tuple[Secret, ...] = ()


def credentials(settings: Settings, key_file: Path | None, token_file: Path | None) -> Credentials:
    """Returns the credentials of the files, of AMPLIFIER_API_KEY and AMPLIFIER_TOKEN, or a token made with SECRET_KEY.

    Raises InputError if a file cannot be read.
    """
    key, key_origin = _given(key_file, "AMPLIFIER_API_KEY")
    token, token_origin = _given(token_file, "AMPLIFIER_TOKEN")
    if token is None and settings.jwt_algorithm == "HS256" and settings.secret_key.reveal() != DEFAULT_SECRET_KEY:
        token, token_origin = _made(settings), f"made with SECRET_KEY for {USER}"
    headers, origins, secrets = {}, [], []
    if key is not None:
        headers[settings.api_key_header] = key
        origins.append(f"API key of {key_origin}")
        secrets.append(Secret(key))
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
        origins.append(f"token {token_origin}" if "made" in token_origin else f"token of {token_origin}")
        secrets.append(Secret(token))
    return Credentials(headers, ", ".join(origins) or "none are given", tuple(secrets))


def _given(file: Path | None, variable: str) -> tuple[str | None, str]:
    """Returns a secret and where it is from, or None."""
    if file is None:
        return os.environ.get(variable, "").strip() or None, variable
    try:
        text = file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(file, f"cannot be read: {getattr(error, 'strerror', error)}") from error
    if not text.isascii() or not text.isprintable() or not text:
        raise InputError(file, "must have one line, with the key or token alone")
    return text, str(file)


def _made(settings: Settings) -> str:
    import jwt

    names = settings.jwt_user_claim, settings.jwt_app_claim
    claims: dict[str, object] = dict.fromkeys(names, USER) | {"exp": int(time.time()) + _VALID}
    claims |= {"iss": settings.jwt_issuer} if settings.jwt_issuer else {}
    claims |= {"aud": settings.jwt_audience} if settings.jwt_audience else {}
    return jwt.encode(claims, settings.secret_key.reveal(), "HS256")
