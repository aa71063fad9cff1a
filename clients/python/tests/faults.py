"""Transports that lose answers and cut streams, in front of the real service."""

from collections.abc import AsyncIterator

import httpx


class LosesAnswers(httpx.AsyncHTTPTransport):
    """Loses the first answers to requests with one of the methods: the service has done what they asked for."""

    def __init__(self, number: int, *methods: str) -> None:
        super().__init__()
        self.left, self.methods = number, methods
        self.requests: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await super().handle_async_request(request)
        if request.method in self.methods:
            self.requests.append(request)
            if self.left:
                self.left -= 1
                await response.aclose()
                raise httpx.ReadError("the answer is lost", request=request)
        return response


class LosesAnswersSync(httpx.HTTPTransport):
    """The same for a synchronous client."""

    def __init__(self, number: int, *methods: str) -> None:
        super().__init__()
        self.left, self.methods = number, methods

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = super().handle_request(request)
        if request.method in self.methods and self.left:
            self.left -= 1
            response.close()
            raise httpx.ReadError("the answer is lost", request=request)
        return response


class Refuses(httpx.AsyncHTTPTransport):
    """Answers the first requests itself, as the service does when it is busy."""

    def __init__(self, number: int, status: int, headers: dict[str, str]) -> None:
        super().__init__()
        self.left, self.status, self.headers = number, status, headers

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self.left:
            self.left -= 1
            problem = {"type": "about:blank", "title": "Busy", "status": self.status, "detail": "come back later"}
            return httpx.Response(self.status, json=problem, headers=self.headers)
        return await super().handle_async_request(request)


class CutsStreams(httpx.AsyncHTTPTransport):
    """Cuts the first streams after the event with the given number of blank lines."""

    def __init__(self, number: int, blank_lines: int) -> None:
        super().__init__()
        self.left, self.blank_lines, self.opened = number, blank_lines, 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await super().handle_async_request(request)
        if response.headers.get("content-type", "").startswith("text/event-stream"):
            self.opened += 1
            if self.left:
                self.left -= 1
                response.stream = _Cut(response.stream, self.blank_lines)
        return response


class _Cut(httpx.AsyncByteStream):
    def __init__(self, stream: object, blank_lines: int) -> None:
        assert isinstance(stream, httpx.AsyncByteStream)
        self.stream, self.left = stream, blank_lines

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self.stream:
            *whole, rest = part.split(b"\n\n")
            for text in whole[: self.left]:
                yield text + b"\n\n"
            self.left -= len(whole)
            if self.left <= 0:
                raise httpx.ReadError("the connection is cut")
            yield rest

    async def aclose(self) -> None:
        await self.stream.aclose()
