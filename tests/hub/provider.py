"""A small OIDC provider on loopback: authorization code flow with PKCE, signed identity tokens, userinfo."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

CLIENT, SECRET = "geolab-hub", "a secret that only the hub and its provider know"


@dataclass
class Provider:
    """People by name with their claims; `spoil` changes what the next identity token says or who signs it."""

    people: dict[str, dict[str, object]]
    url: str = ""
    spoil: dict[str, object] = field(default_factory=dict)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)  # access token -> name
    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.key, self.other = (rsa.generate_private_key(65537, 2048) for _ in range(2))

    def identity_token(self, name: str) -> str:
        now, spoil = int(time.time()), self.spoil
        claims = {"iss": self.url, "aud": CLIENT, "sub": f"id-{name}", "iat": now, "exp": now + 300}
        claims |= {"preferred_username": name, **self.people[name], **spoil.get("claims", {})}
        if spoil.get("signed") == "by nobody":
            return jwt.encode(claims, key="", algorithm="none")
        key = self.other if spoil.get("signed") == "by another" else self.key
        return jwt.encode(claims, key, algorithm="RS256", headers={"kid": "one"})

    def keys(self) -> dict[str, object]:
        told = jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        return {"keys": [{**told, "kid": "one", "use": "sig", "alg": "RS256"}]}

    def about(self) -> dict[str, object]:
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "userinfo_endpoint": f"{self.url}/userinfo",
            "jwks_uri": f"{self.url}/keys",
        }


class _Handler(BaseHTTPRequestHandler):
    provider: Provider

    def do_GET(self) -> None:
        asked = urlsplit(self.path)
        query = {k: v[0] for k, v in parse_qs(asked.query).items()}
        self.provider.asked.append(asked.path)
        answers = {
            "/.well-known/openid-configuration": lambda: self._json(self.provider.about()),
            "/keys": lambda: self._json(self.provider.keys()),
            "/authorize": lambda: self._authorize(query),
            "/userinfo": self._userinfo,
        }
        answers.get(asked.path, lambda: self._json({}, 404))()

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        form = {k: v[0] for k, v in parse_qs(self.rfile.read(length).decode()).items()}
        self.provider.asked.append(self.path)
        self._json(*self._token(form)) if self.path == "/token" else self._json({}, 404)

    def _authorize(self, query: dict[str, str]) -> None:
        """Ask who it is, once: a page of links, each of which says that its person has logged in."""
        name = query.get("as")
        if name is None:
            links = (
                f'<a href="/authorize?{html.escape(urlencode({**query, "as": n}))}">{n}</a>'
                for n in self.provider.people
            )
            return self._answer(200, "text/html", f"<title>Provider</title>{' '.join(links)}".encode())
        assert query["client_id"] == CLIENT
        assert query["code_challenge_method"] == "S256"
        assert "openid" in query["scope"].split()
        code = secrets.token_hex(16)
        self.provider.codes[code] = {**query, "name": name}
        back = f"{query['redirect_uri']}?{urlencode({'code': code, 'state': query['state']})}"
        self.send_response(302)
        self.send_header("Location", back)
        self.end_headers()

    def _token(self, form: dict[str, str]) -> tuple[dict[str, object], int]:
        given = self.provider.codes.pop(form.get("code", ""), None)  # a code works once
        basic = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        known = form.get("client_secret") == SECRET or self.headers.get("Authorization") == f"Basic {basic}"
        if given is None or not known or given["redirect_uri"] != form["redirect_uri"]:
            return {"error": "invalid_grant"}, 400
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != given["code_challenge"]:
            return {"error": "invalid_grant"}, 400
        token = secrets.token_hex(16)
        self.provider.tokens[token] = given["name"]
        told: dict[str, object] = {"access_token": token, "token_type": "Bearer", "expires_in": 300}
        if self.provider.spoil.get("identity token") != "missing":
            told["id_token"] = self.provider.identity_token(given["name"])
        return told, 200

    def _userinfo(self) -> None:
        name = self.provider.tokens.get(self.headers.get("Authorization", "").removeprefix("Bearer "))
        if name is None:
            return self._json({"error": "invalid_token"}, 401)
        told = {"sub": f"id-{name}", "preferred_username": name, **self.provider.people[name]}
        self._json({**told, **self.provider.spoil.get("userinfo", {})})

    def _json(self, told: object, status: int = 200) -> None:
        self._answer(status, "application/json", json.dumps(told).encode())

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@contextmanager
def serve(people: dict[str, dict[str, object]]) -> Iterator[Provider]:
    """The provider, while it answers."""
    provider = Provider(people)
    handler = type("Handler", (_Handler,), {"provider": provider})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        provider.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield provider
        finally:
            server.shutdown()
            thread.join()
