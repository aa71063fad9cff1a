"""An OpenID provider on 127.0.0.1: authorization code with PKCE, refresh tokens and end of session."""

import base64
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

CLIENT = "amplifier-console"
COOKIE = "provider-user"
_FORM = """<!doctype html><title>Provider</title><form method="post">
<label>Name <input name="user" autofocus></label><button>Go on</button></form>"""


class Provider(ThreadingHTTPServer):
    """Signs in whoever says a name. A test sets how it answers from now on.

    `life` is that of access tokens in seconds, `refreshing` whether there are refresh tokens, and `grants` collects
    what clients asked the token endpoint for.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._codes: dict[str, dict[str, str]] = {}
        self._refresh: dict[str, str] = {}  # the user by refresh token
        self.reset()

    def reset(self) -> None:
        """Forgets settings and grants of a test."""
        self.life, self.refreshing = 3600, True
        self.grants: list[str] = []
        self._refresh.clear()

    @property
    def environ(self) -> dict[str, str]:
        """The settings of a service that trusts this provider."""
        return {
            "AUTH_REQUIRED": "true",
            "AUTH_MODE": "jwt_only",
            "SECRET_KEY": "a secret of thirty-two characters and more",
            "JWT_ALGORITHM": "RS256",
            "JWT_ISSUER": self.url,
            "JWT_PUBLIC_KEY_URL": f"{self.url}/keys",
            "CONSOLE_OIDC_ISSUER": self.url,
            "CONSOLE_OIDC_CLIENT_ID": CLIENT,
        }

    def token(self, user: str, **claims: Any) -> str:
        """Returns an access token of a user, which a test may also paste."""
        known = {"iss": self.url, "sub": user, "app_id": "console", "exp": int(time.time() + self.life)}
        return jwt.encode(known | claims, self._key, "RS256", headers={"kid": "one"})

    def discovery(self) -> dict[str, Any]:
        """Returns the document that clients begin with."""
        ends = {"authorization_endpoint": "authorize", "token_endpoint": "token", "end_session_endpoint": "end"}
        return {"issuer": self.url, "jwks_uri": f"{self.url}/keys"} | {
            name: f"{self.url}/{path}" for name, path in ends.items()
        }

    def keys(self) -> dict[str, Any]:
        """Returns the public keys of tokens."""
        return {"keys": [RSAAlgorithm.to_jwk(self._key.public_key(), as_dict=True) | {"kid": "one", "use": "sig"}]}

    def authorized(self, query: dict[str, str], user: str | None) -> str | None:
        """Returns the address to send the browser to; None if the user must be asked."""
        said = query["client_id"], query["response_type"], query["code_challenge_method"]
        assert said == (CLIENT, "code", "S256"), query
        if user:
            code = secrets.token_urlsafe()
            self._codes[code] = query | {"user": user}
            answer = {"code": code}
        elif query.get("prompt") == "none":
            answer = {"error": "login_required"}
        else:
            return None
        return f"{query['redirect_uri']}?{urlencode(answer | {'state': query['state']})}"

    def granted(self, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        """Returns status and answer of the token endpoint."""
        self.grants.append(form["grant_type"])
        if form["grant_type"] == "refresh_token":
            user = self._refresh.pop(form["refresh_token"], None)
            return self._tokens(user, {}) if user else (400, {"error": "invalid_grant"})
        kept = self._codes.pop(form["code"], None)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        if not kept or kept["code_challenge"] != challenge or kept["redirect_uri"] != form["redirect_uri"]:
            return 400, {"error": "invalid_grant"}
        return self._tokens(kept["user"], {"nonce": kept["nonce"]} if "nonce" in kept else {})

    def _tokens(self, user: str, claims: dict[str, str]) -> tuple[int, dict[str, Any]]:
        identity = self.token(user, aud=CLIENT, iat=int(time.time()), **claims)
        answer: dict[str, Any] = {"access_token": self.token(user), "id_token": identity, "token_type": "Bearer"}
        if self.refreshing:
            answer["refresh_token"] = secrets.token_urlsafe()
            self._refresh[answer["refresh_token"]] = user
        return 200, answer | {"expires_in": self.life, "scope": "openid profile offline_access"}

    def forget(self) -> None:
        """Ends what refresh tokens renew."""
        self._refresh.clear()


class _Handler(BaseHTTPRequestHandler):
    server: Provider

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(address.query).items()}
        match address.path:
            case "/.well-known/openid-configuration":
                self._json(200, self.server.discovery())
            case "/keys":
                self._json(200, self.server.keys())
            case "/authorize":
                self._authorize(query, self._user())
            case "/end":
                assert "id_token_hint" in query, query
                self._go(query["post_logout_redirect_uri"], "")
            case _:
                self._json(404, {})

    def do_POST(self) -> None:
        form = {name: values[0] for name, values in parse_qs(self._body()).items()}
        if self.path == "/token":
            return self._json(*self.server.granted(form))
        query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        return self._authorize(query, form["user"])

    def do_OPTIONS(self) -> None:
        self._json(200, {})

    def _authorize(self, query: dict[str, str], user: str | None) -> None:
        address = self.server.authorized(query, user)
        if address:
            self._go(address, user)
        else:
            self._send(200, "text/html", _FORM.encode())

    def _user(self) -> str | None:
        cookies = SimpleCookie(self.headers.get("Cookie", ""))
        return (COOKIE in cookies and cookies[COOKIE].value) or None

    def _body(self) -> str:
        return self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()

    def _go(self, address: str, user: str | None) -> None:
        self._send(303, "text/plain", b"", Location=address, **self._cookie(user))

    def _cookie(self, user: str | None) -> dict[str, str]:
        return {} if user is None else {"Set-Cookie": f"{COOKIE}={user}; Path=/; HttpOnly; SameSite=Lax"}

    def _json(self, status: int, body: dict[str, Any]) -> None:
        allowed = {"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Headers": "*"}
        self._send(status, "application/json", json.dumps(body).encode(), **allowed)

    def _send(self, status: int, kind: str, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Prints nothing."""


@contextmanager
def openid_provider() -> Iterator[Provider]:
    """Runs a provider."""
    provider = Provider()
    thread = threading.Thread(target=provider.serve_forever, daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        provider.shutdown()
        provider.server_close()
        thread.join()
