"""Answers of a service, or of a proxy in front of it, that are errors: what is wrong, and what mends it."""

import httpx

from amplifier.cli.doctor.findings import Fault

_SHOWN = 200  # characters of an answer
_PROXY = "Amplifier's own errors are application/problem+json; this is from a proxy in front of it"


def fault(response: httpx.Response) -> Fault:
    """Returns the fault for an answer that is no success."""
    status, detail = response.status_code, _detail(response)
    path = response.request.url.path
    seen = f"{response.request.method} {path}: {status}{f', {detail}' if detail else ''}"
    if response.has_redirect_location:
        target = response.headers["location"].partition(path)[0]
        return Fault(seen, "the address is another", f"use the address that it redirects to: --url {target}")
    problem, remedy = _known(response, status)
    if not is_own(response) and status != 404:
        problem = f"{problem} ({_PROXY})"
    return Fault(seen, problem, remedy)


def is_own(response: httpx.Response) -> bool:
    """Returns whether the service itself made an answer that is an error."""
    return str(response.headers.get("content-type", "")).startswith("application/problem+json")


def _known(response: httpx.Response, status: int) -> tuple[str, str]:
    """Returns what is wrong and what mends it, for a status."""
    host = response.request.url.host
    if status == 401:
        return "the credentials are missing or refused", (
            "give the API key of an application (AMPLIFIER_API_KEY or --api-key-file) and the token of a user "
            "(AMPLIFIER_TOKEN or --token-file); without a token, SECRET_KEY of the service makes one. A key is made by:"
            "\namplifier-api applications create doctor"
        )
    if status == 403:
        return "the request is not allowed", (
            "see the rules of the proxy or web application firewall in front, and allow the service's paths and methods"
            if not is_own(response)
            else "use the credentials of another user or application"
        )
    if status == 404:
        return "there is no such path", (
            "see whether the address is right, with the prefix that a proxy gives the service (ROOT_PATH), and whether "
            "the proxy passes every path on"
        )
    if status == 405:
        return "the method is not allowed", "let the proxy pass GET, POST, PUT, PATCH and DELETE on"
    if status == 413:
        return "the request is too large", "raise the limit of bodies in the proxy (nginx: client_max_body_size)"
    if status == 421:
        return "the service does not answer to this host", (
            f"add the name to the service's settings, or let the proxy pass the header Host on:\nALLOWED_HOSTS={host}"
        )
    if status == 429:
        return "too many requests", ("wait a minute, or raise RATE_LIMIT_REQUESTS_PER_MINUTE or the limit of the proxy")
    if status in (502, 504):
        return "the proxy gets no answer from the service", (
            "see whether the service runs and the proxy has its address and port. If it happens now and then, the "
            "proxy reuses connections that the service has closed: KEEP_ALIVE of the service must be longer than the "
            "idle timeout of the proxy"
        )
    if status == 503:
        return "the service is not available", (
            "it does not reach its database, or is stopping: run amplifier-api doctor where the service runs"
            if is_own(response)
            else "see whether the service is ready (GET /health/ready), and the proxy's health probe"
        )
    return "the answer is an error", "see the log of the service at this moment, by its x-request-id"


def _detail(response: httpx.Response) -> str:
    """Returns the detail of a problem document, or the beginning of another text."""
    try:
        found = response.json()
        text = str(found["detail"]) if isinstance(found, dict) and "detail" in found else response.text
    except (ValueError, httpx.ResponseNotRead):
        text = "" if response.is_stream_consumed is False else response.text
    return " ".join(text.split())[:_SHOWN]
