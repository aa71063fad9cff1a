"""A server on 127.0.0.1 with TLS that answers as Azure Key Vault does, for Azure's own client."""

import json
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from itertools import count
from pathlib import Path
from typing import Any

from cryptography import x509

from tests.support.tls_servers import Authority, pem

PAGE = 2  # versions in a page of a list; a vault's own pages are longer


@dataclass
class Stored:
    """A version of a secret: its text and attributes, times in seconds since 1970."""

    text: str
    created: float
    attributes: dict[str, Any] = field(default_factory=lambda: {"enabled": True})


class Vault(ThreadingHTTPServer):
    """Keeps secrets in versions. A test sets how it answers from now on.

    `faults` are statuses of the next answers, `refusal` is the code of 403 for everything, `hanging` holds answers.
    """

    daemon_threads = True

    def __init__(self, certificate: Path, key: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self._context = context
        self.root = certificate.with_name("root.crt")  # signed the certificate
        self._numbers = count(1)
        self.reset()

    def reset(self) -> None:
        """Forgets everything."""
        self.secrets: dict[str, dict[str, Stored]] = {}
        self.faults: list[int] = []
        self.retry_after = "0"
        self.refusal = ""
        self.hanging, self.released = threading.Event(), threading.Event()
        self.tokens: list[str] = []
        self.read: list[str] = []  # paths of requests with a token

    @property
    def url(self) -> str:
        """The vault's address."""
        return f"https://127.0.0.1:{self.server_port}"

    @property
    def resource(self) -> str:
        """The audience of tokens. Azure's client demands that it ends the vault's host, as vault.azure.net does."""
        return f"https://0.0.1:{self.server_port}"

    def set(self, name: str, text: str, age: float = 0.0, **attributes: Any) -> str:
        """Adds a version that is `age` seconds old, and returns its id."""
        version = f"{next(self._numbers):032x}"
        stored = Stored(text, time.time() - age, {"enabled": True, **attributes})
        self.secrets.setdefault(name, {})[version] = stored
        return version

    def get_request(self) -> Any:
        """Accepts a connection. Its TLS begins in the thread of its handler."""
        socket, address = super().get_request()
        socket.settimeout(10)
        return self._context.wrap_socket(socket, server_side=True, do_handshake_on_connect=False), address

    def handle_error(self, *_: object) -> None:
        """Logs nothing: clients give up on purpose."""


class _Handler(BaseHTTPRequestHandler):
    server: Vault
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # headers and body in one packet: the client delays its acknowledgement of the first

    def do_GET(self) -> None:
        """Answers `/secrets/{name}/{version}` and `/secrets/{name}/versions`."""
        token = self.headers["Authorization"]
        if token is None:
            challenge = f'Bearer authorization="https://login.example/tenant", resource="{self.server.resource}"'
            self._send(401, {}, {"WWW-Authenticate": challenge})
            return
        self.server.tokens.append(token.removeprefix("Bearer "))
        self.server.read.append(self.path)
        if self.server.hanging.is_set():
            self.server.released.wait()
        if self.server.faults:
            status = self.server.faults.pop(0)
            self._refuse(status, "Throttled" if status == 429 else "InternalError")
        elif self.server.refusal:
            self._refuse(403, self.server.refusal)
        else:
            self._answer(*self.path.partition("?")[0].strip("/").split("/")[1:])

    def _answer(self, name: str, version: str = "") -> None:
        versions = self.server.secrets.get(name, {})
        if version == "versions":
            skip = int(self.path.partition("skip=")[2] or 0)
            page = list(versions.items())[skip : skip + PAGE]
            more = f"{self.server.url}/secrets/{name}/versions?api-version=7.6&skip={skip + PAGE}"
            value = [self._item(name, id_, stored) for id_, stored in page]
            self._send(200, {"value": value, "nextLink": more if skip + PAGE < len(versions) else None})
        elif version not in versions:
            self._refuse(404, "SecretNotFound")
        elif not versions[version].attributes["enabled"]:
            self._refuse(403, "SecretDisabled")
        else:
            self._send(200, self._item(name, version, versions[version]) | {"value": versions[version].text})

    def _item(self, name: str, version: str, stored: Stored) -> dict[str, Any]:
        times = {"created": int(stored.created), "updated": int(stored.created)}
        return {"id": f"{self.server.url}/secrets/{name}/{version}", "attributes": stored.attributes | times}

    def _refuse(self, status: int, code: str) -> None:
        error = {"code": "Forbidden" if status == 403 else code, "message": f"{code}: caller is not authorized"}
        body = {"error": error | {"innererror": {"code": code}}}
        self._send(status, body, {"Retry-After": self.server.retry_after} if status == 429 else {})

    def _send(self, status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        encoded = json.dumps(body).encode()
        self.send_response(status)
        always = {"Content-Type": "application/json", "Content-Length": str(len(encoded))}
        for name, value in (always | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(encoded)

    def log_message(self, *_: object) -> None:
        """Logs nothing."""


@contextmanager
def running(folder: Path) -> Iterator[Vault]:
    """Runs a vault in a thread during the context, with files of its certificate in `folder`: `root.crt` signed it."""
    authority = Authority("vault authority")
    (folder / "root.crt").write_bytes(pem(authority.certificate))
    authority.issue(folder, "127.0.0.1", x509.IPAddress(ip_address("127.0.0.1")))
    with Vault(folder / "server.crt", folder / "server.key") as vault:
        threading.Thread(target=vault.serve_forever, args=(0.01,), daemon=True).start()
        yield vault
        vault.released.set()
        vault.shutdown()
