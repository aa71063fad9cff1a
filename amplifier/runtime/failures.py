"""Describes the failure of a run for clients, without secrets and internal details.

Errors of model providers are translated in `modules/providers/failures.py`.
"""

import logging
import math
from typing import Any

import msgspec
from amplifier_core import ConfigurationError, LLMError, LLMTimeoutError

from amplifier.errors import Unavailable, Unsendable
from amplifier.masking import redact
from amplifier.runtime.module_loader import ModuleFailed, ModuleRefused
from amplifier.runtime.mount_plan import PlanRefused
from amplifier.runtime.transcript_writer import cleaned
from amplifier.telemetry.log_exceptions import described

logger = logging.getLogger(__name__)

_MOST = 2000  # characters
_LONGEST_WAIT = 3600  # seconds; some providers name the end of a month


class Refused(Exception):
    """The run may not continue; the message says why."""


class Failure(msgspec.Struct, omit_defaults=True):
    """The reason why a run did not complete, as it is stored and shown.

    `type` is one of cancelled, config, internal, interrupted, provider, refused, timeout; `code` is the class of the
    provider's error, `retry_after` the seconds after which the provider accepts requests again.
    """

    type: str
    message: str
    code: str | None = None
    retry_after: int | None = None


def failure(error: BaseException, secrets: frozenset[str], name: str) -> Failure:
    """Returns the part of an error that may be stored and shown, with `secrets` masked.

    An error of the service or of a module is logged with `name`, the name of the run, and shown without details.
    """
    text = cleaned(redact(str(error), secrets))[:_MOST]
    if isinstance(error, PlanRefused | ModuleRefused | ModuleFailed | ConfigurationError | Unsendable):
        return Failure("config", text)
    if isinstance(error, LLMTimeoutError):
        return Failure("timeout", text, type(error).__name__)
    if isinstance(error, LLMError):
        return Failure("provider", text, type(error).__name__, _wait(error.retry_after))
    if isinstance(error, Refused):
        return Failure("refused", text)
    if isinstance(error, Unavailable):
        return Failure("interrupted", "The database was away while the run went on")
    fields = {"exception": redact(described(error), secrets)}
    logger.error("run %s failed: %s", name, type(error).__name__, extra={"fields": fields})
    return Failure("internal", "The agent failed in an unexpected way. Report it with the run_id.")


def _wait(seconds: Any) -> int | None:
    """Returns the provider's `Retry-After` in whole seconds, from 1 to an hour, or None if it names none."""
    if not isinstance(seconds, int | float) or not math.isfinite(seconds):
        return None
    return min(max(math.ceil(seconds), 1), _LONGEST_WAIT)
