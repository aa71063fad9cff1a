"""Exceptions: one for each kind of refusal, with the fields of the service's problem document."""

from typing import Any

from . import models


class AmplifierError(Exception):
    """The base of all exceptions of this package."""


class NoConnection(AmplifierError):
    """The service could not be reached, or the connection broke, also after all retries."""

    def __init__(self, detail: str, retry_after: float | None = None) -> None:
        super().__init__(detail)
        self.detail, self.retry_after = detail, retry_after


class Problem(AmplifierError):
    """The service refused or failed: `detail` says what to do.

    `errors` names each value that does not fit (422), `request_id` finds a fault in the service's log (500), and
    `run_id` is the run of an agent that failed. `problem` has all members.
    """

    def __init__(self, status: int, problem: models.Problem, retry_after: float | None = None) -> None:
        super().__init__(f"{status}: {problem.detail}")
        self.status = status
        self.problem = problem
        self.detail = problem.detail
        self.errors: list[models.FieldError] = problem.errors or []
        self.request_id = problem.request_id
        self.run_id = problem.run_id
        self.retry_after = retry_after

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.status, self.problem, self.retry_after)


class BadRequest(Problem):
    """400: a config is not valid or cannot be run."""


class Unauthorized(Problem):
    """401: no credentials, or wrong ones."""


class Forbidden(Problem):
    """403: the caller may see it, but not do this."""


class NotFound(Problem):
    """404: it does not exist, or is not the caller's."""


class Conflict(Problem):
    """409: it exists already, is not active, or is at work."""


class Stale(Problem):
    """412: somebody else was faster. Of an append, `last_seq` is the present number, `missed` what was missed."""

    @property
    def last_seq(self) -> int | None:
        return self.problem.last_seq

    @property
    def missed(self) -> list[models.Entry]:
        return self.problem.missed or []


class TooLarge(Problem):
    """413: the body exceeds the service's limit."""


class Invalid(Problem):
    """422: a value does not fit; `errors` names it."""


class TooManyRequests(Problem):
    """429: too many requests, streams or waiting messages; `retry_after` says how many seconds to wait."""


class Unavailable(Problem):
    """503: the service or its database is away or too slow, also after all retries."""


class RunFailed(AmplifierError):
    """The agent's turn failed while it was streamed: `detail` says why, `code` is the provider's word for it."""

    def __init__(self, detail: str, code: str | None = None, retry_after: float | None = None) -> None:
        super().__init__(detail)
        self.detail, self.code, self.retry_after = detail, code, retry_after


_KINDS: dict[int, type[Problem]] = {
    400: BadRequest,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    412: Stale,
    413: TooLarge,
    422: Invalid,
    429: TooManyRequests,
    503: Unavailable,
}


def problem_of(status: int, problem: models.Problem, retry_after: float | None = None) -> Problem:
    """Returns the exception for a status."""
    return _KINDS.get(status, Problem)(status, problem, retry_after)
