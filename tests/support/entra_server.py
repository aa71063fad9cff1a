"""A server on 127.0.0.1 that answers as Azure's managed identity endpoint does, and as Entra's token endpoint."""

import ipaddress
import json
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography import x509

from tests.support.tls_servers import Authority, pem

HEADER = "the header that only the endpoint's own host knows"


class EntraServer(ThreadingHTTPServer):
    """Issues tokens. A test sets how it answers from now on.

    `status` is that of its answers, `lifetime` is in seconds, and `hanging` holds answers back until it is cleared.
    `token` makes the next token from a number and may have side effects, such as a login's new password.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status, self.lifetime, self.body = 200, 3600, b""
        self.hanging = threading.Event()
        self.released = threading.Event()
        self.requests: list[dict[str, str]] = []  # the parameters of each
        self.tokens: list[str] = []
        self._numbers = count(1)
        self._scheme = "http"

    @property
    def url(self) -> str:
        """The endpoint's address."""
        return f"{self._scheme}://127.0.0.1:{self.server_port}"

    @property
    def environ(self) -> dict[str, str]:
        """The variables that App Service and Container Apps set for a managed identity."""
        return {"IDENTITY_ENDPOINT": f"{self.url}/msi/token", "IDENTITY_HEADER": HEADER}

    def use_tls(self, folder: Path) -> Path:
        """Makes the server speak TLS from now on. Returns the file with the certificate of its authority."""
        authority = Authority("of Entra")
        authority.issue(folder, "127.0.0.1", x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
        (folder / "authority.crt").write_bytes(pem(authority.certificate))
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(folder / "server.crt", folder / "server.key")
        self.socket, self._scheme = context.wrap_socket(self.socket, server_side=True), "https"
        return folder / "authority.crt"

    def token(self) -> str:
        """Returns the next token."""
        return f"entra-token-{next(self._numbers)}"

    def answer(self, parameters: dict[str, str]) -> tuple[int, bytes]:
        """Returns the status and the body for a request with these parameters."""
        self.requests.append(parameters)
        if self.hanging.is_set():
            self.released.wait()
        if self.status != 200:
            return self.status, self.body or json.dumps({"error": "invalid_request", "message": "no identity"}).encode()
        self.tokens.append(self.token())
        known: dict[str, Any] = {"access_token": self.tokens[-1], "token_type": "Bearer"}
        known |= {"resource": parameters.get("resource", ""), "expires_in": self.lifetime}
        return 200, json.dumps(known | {"expires_on": str(int(time.time() + self.lifetime))}).encode()

    def server_close(self) -> None:
        """Closes the server, and ends held answers."""
        self.released.set()
        super().server_close()


class _Handler(BaseHTTPRequestHandler):
    server: EntraServer

    def do_GET(self) -> None:
        """Answers as the managed identity endpoint."""
        given = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        if self.headers["X-IDENTITY-HEADER"] != HEADER:
            self._send(403, b"{}")
        else:
            self._send(*self.server.answer(given))

    def do_POST(self) -> None:
        """Answers as Entra's token endpoint, which takes the token of a Kubernetes service account."""
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self._send(*self.server.answer({name: values[0] for name, values in parse_qs(body).items()}))

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Logs nothing."""


@contextmanager
def running() -> Iterator[EntraServer]:
    """Runs a server in a thread during the context."""
    with EntraServer() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
