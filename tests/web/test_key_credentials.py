"""Keys of many lines in the forms: a one-line field loses line ends, and the error appears at its own field."""

from random import Random

from liushui.ledger.engine import Ledger
from liushui.ledger.jobs.sources import list_sources
from liushui.providers import get_provider
from liushui.wire.rsa import read_private_key
from tests.web.visitor import Visitor

CREDENTIALS = get_provider("alipay").simulate_credentials(Random(1).randbytes)
FORM = {
    "provider": "alipay",
    "name": "shop",
    "base_url": "http://127.0.0.1:9",
    "zone": "Asia/Shanghai",
    "since": "2026-01-01",
    "paced": "yes",
    "credential-app_id": CREDENTIALS["app_id"],
    "credential-app_private_key": CREDENTIALS["app_private_key"].replace("\n", ""),
    "credential-alipay_public_key": CREDENTIALS["alipay_public_key"].replace("\n", ""),
}


def test_a_key_without_line_ends(guest: Visitor, ledger: Ledger) -> None:
    answer = guest.post("/sources", FORM)
    assert (answer.status_code, answer.headers["location"]) == (303, "/sources/shop")
    (source,) = list_sources(ledger)
    keys = [read_private_key("key", one["app_private_key"]) for one in (source.credentials, CREDENTIALS)]
    assert keys[0].private_numbers() == keys[1].private_numbers()


def test_the_error_about_a_key_stands_at_its_field(guest: Visitor, ledger: Ledger) -> None:
    """It shows nothing of the key."""
    wrong = FORM | {"credential-app_private_key": FORM["credential-alipay_public_key"]}
    answer = guest.post("/sources", wrong)
    assert answer.status_code == 422
    error = "app_private_key: expected an RSA private key as PEM or base64 text, got a public key"
    assert answer.text.count(error) == 1
    field = answer.text.partition('name="credential-app_private_key"')[2].partition('name="credential-alipay')[0]
    assert error in field
    assert list_sources(ledger) == []


def test_a_created_key_shows_what_the_client_needs(guest: Visitor) -> None:
    """The key of the platform that signs the answers is not shown."""
    answer = guest.post("/keys", {"dialect": "alipay", "accounts": ["a"], "days": "30", "paced": "yes"})
    assert answer.status_code == 200
    shown = {name for name in CREDENTIALS if f'data-credential="{name}"' in answer.text}
    assert shown == {"app_id", "app_private_key", "alipay_public_key"}
    assert answer.text.count("-----BEGIN PRIVATE KEY-----") == 2, "as a credential, and in the snippet"
