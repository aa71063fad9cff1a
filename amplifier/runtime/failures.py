"""Describes the failure of a run for clients, without secrets and internal details.

Errors of model providers are translated in `modules/providers/failures.py`.
"""

import logging
import traceback

import msgspec
from amplifier_core import ConfigurationError, LLMError, LLMTimeoutError

from amplifier.errors import Unavailable, Unsendable
from amplifier.runtime.module_loader import ModuleFailed, ModuleRefused
from amplifier.runtime.mount_plan import PlanRefused
from amplifier.runtime.secret_references import redact
from amplifier.runtime.transcript_writer import cleaned

logger = logging.getLogger(__name__)

_MOST = 2000  # characters


class Refused(Exception):
    """The run may not continue; the message says why."""


class Failure(msgspec.Struct, omit_defaults=True):
    """The reason why a run did not complete, as it is stored and shown.

    `type` is one of cancelled, config, internal, interrupted, provider, refused, timeout; `code` is the class of the
    provider's error.
    """

    type: str
    message: str
    code: str | None = None


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
        return Failure("provider", text, type(error).__name__)
    if isinstance(error, Refused):
        return Failure("refused", text)
    if isinstance(error, Unavailable):
        return Failure("interrupted", "The database was away while the run went on")
    where = "".join(traceback.format_tb(error.__traceback__))
    logger.error("run %s failed: %s: %s\n%s", name, type(error).__name__, text, redact(where, secrets))
    return Failure("internal", "The agent failed in an unexpected way. Report it with the run_id.")
