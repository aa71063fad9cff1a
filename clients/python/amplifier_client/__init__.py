"""A client of the Amplifier session service.

`Amplifier` and `AsyncAmplifier` are the client, `models` are its answers, `errors` its exceptions. Stores for agent
frameworks are in modules of their own, which need the framework: `adk`, `claude`, `openai_agents`.
"""

from . import errors, models
from ._async.client import AsyncAmplifier
from ._async.session import AsyncSession
from ._protocol import Event
from ._sync.client import Amplifier
from ._sync.session import Session
from .errors import AmplifierError, NoConnection, Problem

__version__ = "0.1.0"
__all__ = [
    "Amplifier",
    "AmplifierError",
    "AsyncAmplifier",
    "AsyncSession",
    "Event",
    "NoConnection",
    "Problem",
    "Session",
    "errors",
    "models",
]
