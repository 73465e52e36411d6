"""Logging in through an OpenID Connect provider: the authorization code flow with PKCE, as a confidential client.

Authlib builds the requests and checks the claims, joserfc the signature of the ID token. This module uses nothing from
an ID token before it has checked the signature, issuer, audience, times and nonce. Only signatures with a public key
count. `none` and the HMAC algorithms are refused, even if the provider announces them.
"""

import ssl
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache
from secrets import token_urlsafe
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlencode, urlsplit

import msgspec

from liushui.errors import ConfigError, LiushuiError, short_repr
from liushui.instant import Clock
from liushui.ledger.access.identities import TEXT_MAX, IdentityProvider, Person

if TYPE_CHECKING:
    from authlib.integrations.httpx_client import OAuth2Client

T = TypeVar("T")

SCOPE: Final = "openid email profile"
CALLBACK_PATH: Final = "/login/oidc/callback"
SIGNATURES: Final = (
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
    "Ed25519",
)
"""The algorithms that an ID token may be signed with."""
LEEWAY_S: Final = 60
"""How far the clocks of the provider and of this server may differ."""
TIMEOUT_S: Final = 5
"""How long the provider may take to connect, and between two parts of an answer."""
METADATA_LIFETIME: Final = timedelta(minutes=10)
"""How long the provider's own description is used before it is read again. Its keys are read at each login."""
EXTRA_MISSING: Final = "oidc: expected the package authlib: pip install 'liushui[oidc]'"

_WELL_KNOWN: Final = "/.well-known/openid-configuration"


class Failure(StrEnum):
    """Why a login through the provider did not succeed."""

    UNREACHABLE = "unreachable"
    """The provider does not answer, or its answer violates OpenID Connect."""
    DENIED = "denied"
    """The provider refused the login: the person cancelled, or may not use this client."""
    INVALID = "invalid"
    """The answer belongs to another login, or was not made by the provider."""
    CLOCK = "clock"
    """The ID token has expired, or is not valid yet."""


class OidcError(LiushuiError):
    """A login through the provider did not succeed. The text is for the log: it names the claim or the request."""

    def __init__(self, failure: Failure, reason: str) -> None:
        super().__init__(f"oidc: {reason}")
        self.failure = failure


class Attempt(msgspec.Struct, frozen=True):
    """A login that has begun. The browser keeps it, encrypted, until the provider redirects back."""

    state: str
    nonce: str
    verifier: str
    """PKCE's secret: without it, a code that leaks from an address is useless."""
    next: str
    """The page to open afterwards."""


class Metadata(msgspec.Struct, frozen=True):
    """A provider's metadata (OpenID Connect Discovery)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None = None
    end_session_endpoint: str | None = None
    id_token_signing_alg_values_supported: tuple[str, ...] = ("RS256",)
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)
    authorization_response_iss_parameter_supported: bool = False


@dataclass
class OidcClient:
    """Logs people in through the provider of one ledger."""

    clock: Clock
    _metadata: dict[str, tuple[Metadata, datetime]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, provider: IdentityProvider, redirect_uri: str, next_address: str) -> tuple[str, Attempt]:
        """Begin a login. Returns the address at the provider, and the data that the callback needs. Raises
        OidcError."""
        attempt = Attempt(token_urlsafe(32), token_urlsafe(32), token_urlsafe(48), next_address)
        with _client(provider, redirect_uri) as client:
            address, _ = client.create_authorization_url(
                self.metadata(provider).authorization_endpoint,
                state=attempt.state,
                nonce=attempt.nonce,
                code_verifier=attempt.verifier,
            )
        return str(address), attempt

    def finish(
        self, provider: IdentityProvider, redirect_uri: str, attempt: Attempt, answer: Mapping[str, str]
    ) -> Person:
        """The person who has logged in. `answer`: the query that the provider sent back. Raises OidcError."""
        metadata = self.metadata(provider)
        code = _code(metadata, attempt, answer)
        with _client(provider, redirect_uri, metadata) as client:
            tokens = _fetch_tokens(client, metadata, code, attempt)
            claims = self._id_claims(client, metadata, provider, attempt, tokens)
            role_values = _values(claims, provider.role_claim)
            if metadata.userinfo_endpoint is not None and ("email" not in claims or role_values is None):
                info = _userinfo(client, metadata.userinfo_endpoint, tokens, claims["sub"])
            else:
                info = {}
        if role_values is None:
            role_values = _values(info, provider.role_claim) or []
        return _person(provider, claims, info, role_values)

    def logout_address(self, provider: IdentityProvider, return_to: str) -> str | None:
        """Return the address at which a person ends their session at the provider. None: it has no such address. Raises
        OidcError."""
        endpoint = self.metadata(provider).end_session_endpoint
        if endpoint is None:
            return None
        query = urlencode({"client_id": provider.client_id, "post_logout_redirect_uri": return_to})
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{query}"

    def metadata(self, provider: IdentityProvider) -> Metadata:
        """The provider's description of itself. Raises OidcError if it names another issuer or cannot be read."""
        now = self.clock()
        with self._lock:
            metadata, read_at = self._metadata.get(provider.issuer, (None, now))
        if metadata is not None and timedelta(0) <= now - read_at < METADATA_LIFETIME:
            return metadata
        with _client(provider) as client:
            metadata = _get(client, provider.issuer.rstrip("/") + _WELL_KNOWN, Metadata)
        if metadata.issuer != provider.issuer:
            reason = f"issuer: expected {short_repr(provider.issuer)}, got {short_repr(metadata.issuer)}"
            raise OidcError(Failure.INVALID, reason)
        for name in ("authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint"):
            address = getattr(metadata, name)
            if address is not None and urlsplit(address).scheme != urlsplit(provider.issuer).scheme:
                raise OidcError(Failure.INVALID, f"{name}: expected https, got {short_repr(address)}")
        with self._lock:
            self._metadata = {provider.issuer: (metadata, now)}
        return metadata

    def _id_claims(
        self,
        client: "OAuth2Client",
        metadata: Metadata,
        provider: IdentityProvider,
        attempt: Attempt,
        tokens: Mapping[str, Any],
    ) -> dict[str, Any]:
        """Return the claims of the ID token for this login. Raises OidcError."""
        from authlib.oidc.core import CodeIDToken
        from joserfc import jwt
        from joserfc.errors import ExpiredTokenError, InvalidClaimError, JoseError
        from joserfc.jwk import KeySet
        from joserfc.jws import JWSRegistry

        text = tokens.get("id_token")
        if not isinstance(text, str):
            raise OidcError(Failure.INVALID, "id_token: there is none in the answer of the token endpoint")
        algorithms = [name for name in metadata.id_token_signing_alg_values_supported if name in SIGNATURES]
        options = {
            "iss": {"essential": True, "value": provider.issuer},
            "aud": {"essential": True, "value": provider.client_id},
            "nonce": {"essential": True, "value": attempt.nonce},
        }
        known = {"nonce": attempt.nonce, "client_id": provider.client_id, "access_token": tokens["access_token"]}
        try:
            keys: Any = _get(client, metadata.jwks_uri, dict[str, Any])
            registry = JWSRegistry(algorithms=algorithms, strict_check_header=False)
            token = jwt.decode(text, KeySet.import_key_set(keys), registry=registry)
            claims = CodeIDToken(token.claims, token.header, options, known)
            claims.validate(now=int(self.clock().timestamp()), leeway=LEEWAY_S)
        except ExpiredTokenError as error:
            raise OidcError(Failure.CLOCK, f"id_token: it has expired: {error}") from error
        except InvalidClaimError as error:
            is_time = error.claim in ("iat", "nbf")
            raise OidcError(Failure.CLOCK if is_time else Failure.INVALID, f"id_token: {error}") from error
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise OidcError(Failure.INVALID, f"id_token: {type(error).__name__}: {error}") from error
        if not 0 < len(claims["sub"]) <= TEXT_MAX:
            raise OidcError(Failure.INVALID, f"sub: expected 1 to {TEXT_MAX} characters, got {len(claims['sub'])}")
        return dict(claims)


def check_issuer(text: str) -> str:
    """Return a provider's address in the form in which OpenID Connect compares it. Raises ConfigError."""
    try:
        parts = urlsplit(text)
        is_usable = bool(parts.hostname) and parts.port != 0 and not (parts.query or parts.fragment or parts.username)
    except ValueError:
        is_usable = False
    is_local = is_usable and parts.hostname in ("localhost", "127.0.0.1", "::1")
    if not is_usable or not (parts.scheme == "https" or (parts.scheme == "http" and is_local)):
        raise ConfigError(f"issuer: expected https://HOST/PATH, as the provider names itself, got {short_repr(text)}")
    return text


# ---------------------------------------------------------------- requests to the provider


@contextmanager
def _client(
    provider: IdentityProvider, redirect_uri: str | None = None, metadata: Metadata | None = None
) -> Iterator["OAuth2Client"]:
    """A client for one login. Errors on the way to the provider become OidcErrors."""
    try:
        from authlib.integrations.base_client import OAuthError
        from authlib.integrations.httpx_client import OAuth2Client
        from httpx2 import HTTPError, InvalidURL
    except ImportError as error:
        raise OidcError(Failure.UNREACHABLE, EXTRA_MISSING) from error
    methods = ("client_secret_basic",) if metadata is None else metadata.token_endpoint_auth_methods_supported
    method = "client_secret_post" if "client_secret_basic" not in methods else "client_secret_basic"
    try:
        with OAuth2Client(
            client_id=provider.client_id,
            client_secret=provider.client_secret or None,
            token_endpoint_auth_method=method if provider.client_secret else "none",
            scope=SCOPE,
            redirect_uri=redirect_uri,
            code_challenge_method="S256",
            timeout=TIMEOUT_S,
            follow_redirects=False,
            verify=_tls_context(),
        ) as client:
            yield client
    except OAuthError as error:
        raise OidcError(Failure.INVALID, f"the token endpoint refused the code: {error}") from error
    except (HTTPError, InvalidURL) as error:
        reason = f"no answer from {provider.issuer}: {str(error) or type(error).__name__}"
        raise OidcError(Failure.UNREACHABLE, reason) from error


@cache
def _tls_context() -> ssl.SSLContext:
    """Verifies certificates. It is made once, because reading the system's certificates takes a while."""
    return ssl.create_default_context()


def _get(client: "OAuth2Client", url: str, model: type[T], token: str | None = None) -> T:
    """A JSON document of the provider. Raises OidcError."""
    headers = {"accept": "application/json"} | ({"authorization": f"Bearer {token}"} if token else {})
    answer = client.request("GET", url, headers=headers, withhold_token=True)
    if answer.status_code != 200:
        raise OidcError(Failure.UNREACHABLE, f"{url}: expected an answer with 200, got {answer.status_code}")
    try:
        return msgspec.json.decode(answer.content, type=model)
    except msgspec.DecodeError as error:
        raise OidcError(Failure.UNREACHABLE, f"{url}: {error}") from error


def _code(metadata: Metadata, attempt: Attempt, answer: Mapping[str, str]) -> str:
    """The authorization code in a callback. Raises OidcError if it does not belong to the login."""
    if answer.get("state") != attempt.state:
        raise OidcError(Failure.INVALID, "state: expected the one of this login")
    issuer = answer.get("iss")  # RFC 9207: which provider answers
    if issuer != metadata.issuer and (issuer is not None or metadata.authorization_response_iss_parameter_supported):
        raise OidcError(Failure.INVALID, f"iss: expected {short_repr(metadata.issuer)}, got {short_repr(issuer)}")
    if "error" in answer:
        reason = short_repr(" ".join(filter(None, (answer["error"], answer.get("error_description")))))
        raise OidcError(Failure.DENIED, f"the provider answers {reason}")
    if not answer.get("code"):
        raise OidcError(Failure.INVALID, "code: the callback has none")
    return answer["code"]


def _fetch_tokens(client: "OAuth2Client", metadata: Metadata, code: str, attempt: Attempt) -> Mapping[str, Any]:
    try:
        tokens: Mapping[str, Any] = client.fetch_token(
            metadata.token_endpoint, grant_type="authorization_code", code=code, code_verifier=attempt.verifier
        )
    except ValueError as error:
        raise OidcError(Failure.UNREACHABLE, f"{metadata.token_endpoint}: {error}") from error
    if not isinstance(tokens.get("access_token"), str):
        raise OidcError(Failure.INVALID, "access_token: there is none in the answer of the token endpoint")
    return tokens


def _userinfo(client: "OAuth2Client", url: str, tokens: Mapping[str, Any], subject: str) -> Mapping[str, Any]:
    """The claims that are not in the ID token. They must be about the same subject. Raises OidcError."""
    info: Mapping[str, Any] = _get(client, url, dict[str, Any], tokens["access_token"])
    if info.get("sub") != subject:
        raise OidcError(
            Failure.INVALID, f"userinfo: expected sub {short_repr(subject)}, got {short_repr(info.get('sub'))}"
        )
    return info


# ---------------------------------------------------------------- claims


def _values(claims: Mapping[str, Any], name: str) -> Sequence[str] | None:
    """Return the texts in a claim; a dot in its name leads into an object. None: no such claim."""
    if not name:
        return []
    value: Any = claims.get(name)
    if value is None:
        value = claims
        for part in name.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
    if value is None:
        return None
    return [text for text in (value if isinstance(value, list) else [value]) if isinstance(text, str)]


def _person(
    provider: IdentityProvider, claims: Mapping[str, Any], info: Mapping[str, Any], role_values: Sequence[str]
) -> Person:
    source = claims if "email" in claims else info
    email = source.get("email")
    # Some providers send this flag as text.
    is_verified = isinstance(email, str) and source.get("email_verified") in (True, "true")
    names = (claims.get("preferred_username"), info.get("preferred_username"), email if is_verified else None)
    return Person(
        claims["sub"],
        str(email) if is_verified else "",
        bool(email) and not is_verified,
        tuple(name for name in (*names, claims["sub"]) if isinstance(name, str)),
        provider.role_of(role_values),
    )
