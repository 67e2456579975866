"""How people log in: at an OIDC provider, or for a trial with one shared password."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlsplit

import jwt
from jupyterhub.authenticators.shared import SharedPasswordAuthenticator
from oauthenticator.generic import GenericOAuthenticator
from tornado import web
from traitlets import Dict, Unicode
from traitlets import Set as SetOf

from geolab_hub import private
from geolab_hub.problem import Problem
from geolab_hub.surroundings import Surroundings

USERNAME = r"[a-z0-9][a-z0-9._@-]{0,63}\Z"  # becomes the name of a folder
PASSWORD_LENGTH = 12
SIGNATURES = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
REFUSED = "The login could not be verified. Tell whoever runs this hub; its log says why."


class Oidc(GenericOAuthenticator):
    """Login at an OIDC provider; the identity token's signature, issuer and audience are verified."""

    issuer = Unicode(config=True, help="address of the provider, as its tokens say it")
    jwks_url = Unicode(config=True, help="where the provider publishes its keys")
    groups_claim = Unicode("groups", config=True, help="claim that lists the groups of a person")
    known_groups = SetOf(Unicode(), config=True, help="groups that mean something here; others are dropped")

    _keys: jwt.PyJWKClient | None = None

    async def get_token_info(self, handler: Any, params: dict[str, Any]) -> dict[str, Any]:
        """The provider's answer; a login must bring an identity token that is valid now."""
        told: dict[str, Any] = await super().get_token_info(handler, params) or {}
        if told.get("id_token"):
            await self._verified(told["id_token"], expires=True)
        elif params.get("grant_type") == "authorization_code":
            self.log.error("the provider sent no identity token; is 'openid' among its scopes?")
            raise web.HTTPError(403, REFUSED)
        return told

    async def token_to_user(self, token_info: dict[str, Any]) -> dict[str, Any]:
        """The claims of a person: of the identity token, and newer ones where the provider tells them."""
        claims: dict[str, Any] = {}
        if token_info.get("id_token"):
            claims = await self._verified(token_info["id_token"], expires=not self.userdata_url)
        if not self.userdata_url:
            return claims
        told: dict[str, Any] = await super().token_to_user(token_info) or {}
        if claims and told.get("sub") != claims["sub"]:  # OIDC core 5.3.2
            self.log.error("userinfo is about another person than the identity token")
            raise web.HTTPError(403, REFUSED)
        return claims | told

    async def get_user_groups(self, auth_state: dict[str, Any]) -> set[str]:
        """Those of the claimed groups that mean something here."""
        claimed = auth_state[self.user_auth_state_key].get(self.groups_claim)
        if not isinstance(claimed, list):
            self.log.warning("the provider told no list of groups in the claim %r", self.groups_claim)
            return set()
        return {g for g in claimed if isinstance(g, str)} & self.known_groups

    async def _verified(self, token: str, *, expires: bool) -> dict[str, Any]:
        try:
            return await asyncio.to_thread(self._decode, token, expires)
        except jwt.PyJWTError as error:
            self.log.error("an identity token was refused: %s", error)
            raise web.HTTPError(403, REFUSED) from error

    def _decode(self, token: str, expires: bool) -> dict[str, Any]:
        self._keys = self._keys or jwt.PyJWKClient(self.jwks_url, timeout=10)
        return jwt.decode(
            token,
            self._keys.get_signing_key_from_jwt(token).key,
            algorithms=SIGNATURES,
            audience=self.client_id,
            issuer=self.issuer,
            leeway=60,
            options={"require": ["sub", "iss", "aud", "exp"], "verify_exp": expires},
        )


class Trial(SharedPasswordAuthenticator):
    """One password for all: whoever knows it can be anyone in the list. For trials only."""

    people = Dict(config=True, help="groups of each person who may log in")

    async def authenticate(self, handler: Any, data: dict[str, str]) -> dict[str, Any] | None:
        name, password = data.get("username"), data.get("password")
        if not name or not password or not password.isascii():  # compare_digest takes ASCII only
            return None
        found = await super().authenticate(handler, data)
        if found is not None:
            found["groups"] = sorted(self.people.get(found["name"], ()))
        return found


def configure(c: Any, around: Surroundings) -> None:
    """Set the authenticator that HUB_AUTH names. Raises Problem when something is missing."""
    kinds = {"oidc": _oidc, "shared-password": _shared}
    kind = around.needed("HUB_AUTH", f"how people log in, {' or '.join(kinds)}; there is no default")
    if kind not in kinds:
        raise Problem(f"HUB_AUTH is {kind!r}; it may be {' or '.join(kinds)}")
    c.Authenticator.manage_groups = True
    c.Authenticator.username_pattern = USERNAME
    c.Authenticator.admin_users = set(around.env.get("HUB_ADMINS", "").split())
    c.Authenticator.allow_existing_users = False  # who has left the list stays out
    c.Authenticator.delete_invalid_users = True
    kinds[kind](c, around)


def _shared(c: Any, around: Surroundings) -> None:
    password = around.needed("HUB_PASSWORD", "the password that everyone in a trial shares")
    if len(password) < PASSWORD_LENGTH or not password.isascii():
        raise Problem(f"HUB_PASSWORD must have at least {PASSWORD_LENGTH} characters, ASCII only")
    if not around.projects.people:
        raise Problem("a shared password needs [people] in the file of projects: who is in which group")
    if unknown := {g for gs in around.projects.people.values() for g in gs} - around.projects.groups:
        raise Problem(f"[people] names the group {sorted(unknown)[0]!r}, which no project has")
    c.JupyterHub.authenticator_class = Trial
    c.Trial.user_password = password
    c.Trial.people = {name: list(groups) for name, groups in around.projects.people.items()}
    c.Authenticator.allowed_users = set(around.projects.people)
    c.Authenticator.admin_users = set()  # nobody administers a hub whose password everyone knows


def _oidc(c: Any, around: Surroundings) -> None:
    issuer = _https(around.needed("OIDC_ISSUER", "the address of the OIDC provider"), "OIDC_ISSUER")
    provider = discover(issuer)
    c.JupyterHub.authenticator_class = Oidc
    c.Oidc.issuer = provider["issuer"]
    c.Oidc.client_id = around.needed("OIDC_CLIENT_ID", "as what this hub is registered at the provider")
    c.Oidc.client_secret = around.needed("OIDC_CLIENT_SECRET", "this hub's secret at the provider")
    c.Oidc.oauth_callback_url = _https(
        around.needed("OIDC_CALLBACK_URL", "https://ADDRESS-OF-THIS-HUB/hub/oauth_callback"),
        "OIDC_CALLBACK_URL",
    )
    c.Oidc.authorize_url = provider["authorization_endpoint"]
    c.Oidc.token_url = provider["token_endpoint"]
    c.Oidc.userdata_url = provider.get("userinfo_endpoint", "")
    c.Oidc.jwks_url = provider["jwks_uri"]
    c.Oidc.scope = (around.env.get("OIDC_SCOPES") or "openid profile email").split()
    c.Oidc.username_claim = around.env.get("OIDC_USERNAME_CLAIM") or "preferred_username"
    c.Oidc.groups_claim = around.env.get("OIDC_GROUPS_CLAIM") or "groups"
    c.Oidc.known_groups = set(around.projects.groups)
    c.Oidc.allowed_groups = set(around.projects.groups)
    c.Oidc.login_service = around.env.get("OIDC_NAME") or "your organisation"
    c.Oidc.enable_auth_state = True  # encrypted; groups are asked for again with what it holds
    c.Authenticator.refresh_pre_spawn = True
    if around.spawner != "kubernetes":  # there the chart keeps the key
        c.CryptKeeper.keys = [bytes.fromhex(private.secret(around.private / "crypt-key"))]


def discover(issuer: str) -> dict[str, str]:
    """What the provider says of itself (OIDC discovery 1.0). Raises Problem."""
    url = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - https, or this machine
            told = json.loads(answer.read(1_000_000))
    except (urllib.error.URLError, OSError, ValueError) as error:
        raise Problem(f"the OIDC provider does not answer at {url}: {error}") from error
    wanted = ("issuer", "authorization_endpoint", "token_endpoint", "jwks_uri")
    if not isinstance(told, dict) or not all(isinstance(told.get(name), str) for name in wanted):
        raise Problem(f"{url} tells no {', '.join(wanted)}; is OIDC_ISSUER right?")
    if told["issuer"].rstrip("/") != issuer.rstrip("/"):
        raise Problem(f"{url} says that its issuer is {told['issuer']!r}, and OIDC_ISSUER is {issuer!r}")
    for name in (*wanted[1:], "userinfo_endpoint"):
        if name in told:
            _https(told[name], f"{name} of the provider")
    return told


def _https(url: str, what: str) -> str:
    parts = urlsplit(url)
    here = parts.hostname in {"127.0.0.1", "localhost", "::1"}
    if not parts.hostname or (parts.scheme != "https" and not (here and parts.scheme == "http")):
        raise Problem(f"{what} must begin with https:// (http:// only on this machine), not {url!r}")
    return url
