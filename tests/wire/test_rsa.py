"""RSA keys: the forms in which people have them, the errors for other content, and signatures."""

import subprocess
from base64 import b64decode
from hashlib import sha256
from pathlib import Path
from random import Random

import pytest

from liushui.errors import ConfigError
from liushui.wire import rsa

PAIR = rsa.simulated_key_pair(Random(1).randbytes)
BODY = "".join(PAIR.private.splitlines()[1:-1])
PUBLIC_BODY = "".join(PAIR.public.splitlines()[1:-1])


def openssl(*arguments: str, given: str = "") -> str:
    return subprocess.run(["openssl", *arguments], input=given, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> str:
    key = tmp_path_factory.mktemp("rsa") / "key.pem"
    key.write_text(PAIR.private)
    return openssl("req", "-x509", "-key", str(key), "-subj", "/CN=x", "-days", "2")


PKCS1 = openssl("pkey", "-traditional", given=PAIR.private)
PKCS1_PUBLIC = openssl("rsa", "-pubin", "-RSAPublicKey_out", given=PAIR.public)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(PAIR.private, id="pkcs8"),
        pytest.param(PKCS1, id="pkcs1"),
        pytest.param(BODY, id="base64"),
        pytest.param("".join(PKCS1.splitlines()[1:-1]), id="base64-of-pkcs1"),
        pytest.param(PAIR.private.replace("\n", "\r\n") + "\r\n", id="crlf"),
        pytest.param(PAIR.private.replace("\n", ""), id="one-line-of-a-form"),
        pytest.param(f"Bag Attributes\n{PAIR.private}\n", id="text-before-it"),
    ],
)
def test_a_private_key_in_any_form(text: str) -> None:
    key = rsa.read_private_key("app_private_key", text)
    assert rsa.is_signed(rsa.read_public_key("x", PAIR.public), b"message", rsa.sign(key, b"message"))


@pytest.mark.parametrize("text", [PAIR.public, PUBLIC_BODY, PKCS1_PUBLIC, PAIR.public.replace("\n", "")])
def test_a_public_key_in_any_form(text: str) -> None:
    signature = rsa.sign(rsa.read_private_key("x", PAIR.private), b"message")
    assert rsa.is_signed(rsa.read_public_key("y", text), b"message", signature)


@pytest.mark.parametrize(
    ("text", "came"),
    [
        (PAIR.public, "a public key"),
        (PUBLIC_BODY, "the base64 of a public key"),
        (openssl("pkcs8", "-topk8", "-passout", "pass:x", given=PAIR.private), "remove the password"),
        (openssl("pkey", "-traditional", "-aes128", "-passout", "pass:x", given=PAIR.private), "remove the password"),
        (openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout"), "a key that is not of RSA"),
        ("-----BEGIN PRIVATE KEY-----\nMIIE", "without its end"),
        (f"-----BEGIN PRIVATE KEY-----\n{BODY[:-8]}流水\n-----END PRIVATE KEY-----", "whose body is not base64"),
        ("keys/app.pem", "name of a file"),
        ("wrong", "5 characters that are no key"),
        ("", "0 characters that are no key"),
    ],
)
def test_what_is_not_a_private_key_is_named_and_not_shown(text: str, came: str) -> None:
    with pytest.raises(ConfigError, match=r"^app_private_key: expected an RSA private key as PEM or base64") as error:
        rsa.read_private_key("app_private_key", text)
    assert came in str(error.value)
    assert BODY[40:60] not in str(error.value)


def test_a_certificate_is_taken_where_one_is_meant(certificate: str) -> None:
    with pytest.raises(ConfigError, match=r"expected an RSA public key as PEM or base64 text, got a certificate$"):
        rsa.read_public_key("platform_key", certificate)
    with pytest.raises(ConfigError, match=r"got a private key \(PKCS #8\)$"):
        rsa.read_public_key("platform_key", PAIR.private)
    key = rsa.read_public_key("platform_key", certificate, takes_certificate=True)
    assert rsa.is_signed(key, b"m", rsa.sign(rsa.read_private_key("x", PAIR.private), b"m"))


def test_a_signature_is_that_of_openssl(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text(PAIR.private)
    (tmp_path / "message").write_bytes("流水 {}".encode())
    made = openssl("dgst", "-sha256", "-sign", str(tmp_path / "key.pem"), "-hex", str(tmp_path / "message"))
    signature = rsa.sign(rsa.read_private_key("x", PAIR.private), "流水 {}".encode())
    key = rsa.read_public_key("x", PAIR.public)
    assert made.split("= ")[1].strip() == b64decode(signature).hex()
    for wrong in ("", "wrong", signature[:-4], signature.swapcase(), "流水"):
        assert not rsa.is_signed(key, "流水 {}".encode(), wrong)


def test_keys_of_simulated_accounts_follow_from_the_random_bytes() -> None:
    pairs = [rsa.simulated_key_pair(Random(seed).randbytes) for seed in (1, 1, 2)]
    assert pairs[0] == pairs[1] != pairs[2]
    digest = sha256(PAIR.public.encode()).hexdigest()
    assert digest == EXPECTED, "in every process, today and tomorrow"


EXPECTED = "4328c82407a3ded76d87a972ac508ff835367b3970f34e45b01782c68d4de027"


def test_every_simulated_key_is_sound() -> None:
    """Each prime once: the library checks them."""
    for number in range(len(rsa.P_OFFSETS)):
        pair = rsa.simulated_key_pair(lambda _, number=number: bytes([number, number]))  # type: ignore[misc]
        assert rsa.read_private_key("x", pair.private).key_size == rsa.BITS


def test_a_new_pair_is_new() -> None:
    one, other = rsa.new_key_pair(), rsa.new_key_pair()
    assert one.private != other.private
    assert rsa.read_private_key("x", one.private).key_size == rsa.BITS
