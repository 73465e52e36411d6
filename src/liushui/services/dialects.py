"""The APIs that keys are for: the providers' APIs, and APIs that liushui only serves.

An API that is only served has no accounts from which liushui collects. SimpleFIN is one:
https://www.simplefin.org/protocol.html. A person gives a program a setup token. The program exchanges it once for the
credentials that it uses from then on.
"""

import hmac
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from secrets import token_hex
from typing import Final

from liushui.errors import ConfigError, short_repr
from liushui.ledger.access.keys import replace_credentials
from liushui.ledger.engine import Ledger
from liushui.provider import MOUNT, Dialect, Provider, Restriction
from liushui.providers import load_providers

NAME_BYTES: Final = 16
SECRET_BYTES: Final = 32
_CLAIM_TOKEN, _CLAIM_DIGEST, _USERNAME, _PASSWORD = "claim_token", "claim_digest", "username", "password"


@dataclass(frozen=True)
class ServedDialect:
    """An API that is only served. Its keys are given out together with the address of the server."""

    name: str
    title: str
    new_credentials: Callable[[Callable[[int], bytes]], dict[str, str]]
    key_name: Callable[[Mapping[str, str]], str]
    give_out: Callable[[Mapping[str, str], str], dict[str, str]]
    """Returns the values that the creator of a key receives, from the key's credentials and the address of the
    server."""
    snippet: str
    """Example of how a program uses the key, with placeholders for the values given out."""
    restrictions: Sequence[Restriction] = ()


def with_served(providers: Mapping[str, Provider]) -> dict[str, Dialect]:
    """Return, by name, the APIs for which keys can be created while these providers are installed."""
    return {**providers, **SERVED}


def get_dialect(name: str) -> Dialect:
    """Return the API with this name. Raises ConfigError listing the names that exist."""
    dialects = with_served(load_providers())
    if name not in dialects:
        raise ConfigError(f"provider: expected {', '.join(dialects)}, got {short_repr(name)}")
    return dialects[name]


def give_out(dialect: Dialect, credentials: Mapping[str, str], url: str) -> dict[str, str]:
    """Return the values that the creator of a key receives. `url`: the address at which programs reach the server."""
    return dialect.give_out(credentials, url) if isinstance(dialect, ServedDialect) else dict(credentials)


# ---------------------------------------------------------------- SimpleFIN


def _new_credentials(random_bytes: Callable[[int], bytes]) -> dict[str, str]:
    """Return the credentials of a new key that no program has claimed: the token in its claim URL."""
    return {_CLAIM_TOKEN: f"{random_bytes(NAME_BYTES).hex()}{random_bytes(SECRET_BYTES).hex()}"}


def _key_name(credentials: Mapping[str, str]) -> str:
    return credentials[_USERNAME] if _USERNAME in credentials else name_in(credentials[_CLAIM_TOKEN])


def name_in(claim_token: str) -> str:
    """Return the public name of the key to which a claim token belongs."""
    return claim_token[: 2 * NAME_BYTES]


def _setup_token(credentials: Mapping[str, str], url: str) -> dict[str, str]:
    claim_url = f"{root_url(url)}/claim/{credentials[_CLAIM_TOKEN]}"
    return {"setup_token": b64encode(claim_url.encode()).decode()}


SIMPLEFIN: Final = ServedDialect(
    name="simplefin",
    title="SimpleFIN",
    new_credentials=_new_credentials,
    key_name=_key_name,
    give_out=_setup_token,
    snippet="""\
ACCESS_URL=$(curl --fail -X POST "$(echo {setup_token} | base64 --decode)")
curl --fail "$ACCESS_URL/accounts"
""",
)
SERVED: Final[Mapping[str, ServedDialect]] = {SIMPLEFIN.name: SIMPLEFIN}
"""The APIs that are only served, by name."""


def root_url(url: str) -> str:
    """Return the root URL of the SimpleFIN server at one of our servers."""
    return f"{url}{MOUNT}{SIMPLEFIN.name}"


def is_claim_token(credentials: Mapping[str, str], claim_token: str) -> bool:
    """Whether a token belongs to a key, claimed or not."""
    digest = credentials.get(_CLAIM_DIGEST) or _digest(credentials[_CLAIM_TOKEN])
    return hmac.compare_digest(digest, _digest(claim_token))


def is_password(credentials: Mapping[str, str], password: str) -> bool:
    """Whether a password belongs to a key. An unclaimed key has none."""
    known = credentials.get(_PASSWORD, "")
    return bool(known) and hmac.compare_digest(known.encode(), password.encode())


def claim(ledger: Ledger, claim_token: str, url: str) -> str | None:
    """Exchange a claim token for the access URL of its key. None: it was exchanged before, or belongs to no valid key.

    It succeeds only once, even with several processes.
    """
    name, password = name_in(claim_token), token_hex(SECRET_BYTES)

    def replace(credentials: Mapping[str, str]) -> Mapping[str, str] | None:
        if _CLAIM_TOKEN not in credentials or not is_claim_token(credentials, claim_token):
            return None
        return {_USERNAME: name, _PASSWORD: password, _CLAIM_DIGEST: _digest(claim_token)}

    if not replace_credentials(ledger, SIMPLEFIN.name, name, replace):
        return None
    scheme, _, rest = root_url(url).partition("://")
    return f"{scheme}://{name}:{password}@{rest}"


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()
