"""Time stamps of RFC 3161, by an authority that openssl makes. openssl and the checker verify them."""

import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from liushui.certificate.store import list_certificates, load_certificate
from liushui.certificate.timestamp import request_timestamp, stamped_at
from liushui.errors import CertificateError, ConfigError
from tests.certificate.certified import certifiable_ledger, certify, export

CONFIG = """
[tsa]
default_tsa = local
[local]
serial = serial
crypto_device = builtin
signer_cert = tsa.pem
signer_key = tsa.key
signer_digest = sha256
default_policy = 1.2.3.4
digests = sha256
accuracy = secs:1
ess_cert_id_chain = no
ess_cert_id_alg = sha256
"""
EXTENSIONS = "extendedKeyUsage=critical,timeStamping\nkeyUsage=critical,digitalSignature\nbasicConstraints=CA:FALSE\n"


@dataclass
class Authority:
    """A time stamping authority, and the answer that it gives in place of a stamp."""

    url: str
    folder: Path
    answer: tuple[int, bytes] | None = None

    @property
    def ca(self) -> Path:
        return self.folder / "ca.pem"

    def openssl(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(["openssl", *words], cwd=self.folder, capture_output=True, check=False)

    def stamp(self, query: bytes) -> bytes:
        (self.folder / "query").write_bytes(query)
        done = self.openssl("ts", "-reply", "-config", "tsa.cnf", "-queryfile", "query", "-out", "answer")
        assert done.returncode == 0, done.stderr
        return (self.folder / "answer").read_bytes()


@pytest.fixture
def authority(tmp_path: Path) -> Iterator[Authority]:
    folder = tmp_path / "authority"
    folder.mkdir()
    found = Authority("", folder)
    (folder / "tsa.cnf").write_text(CONFIG)
    (folder / "serial").write_text("01\n")
    (folder / "extensions").write_text(EXTENSIONS)
    subject = ["-subj", "/CN=authority", "-days", "30"]
    new_key = ["-newkey", "rsa:2048", "-nodes"]
    found.openssl("req", "-x509", *new_key, "-keyout", "ca.key", "-out", "ca.pem", *subject)
    found.openssl("req", *new_key, "-keyout", "tsa.key", "-out", "tsa.csr", "-subj", "/CN=stamps")
    signing = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "extensions", "-days", "30"]
    assert found.openssl("x509", "-req", "-in", "tsa.csr", "-out", "tsa.pem", *signing).returncode == 0

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = self.rfile.read(int(self.headers["Content-Length"]))
            status, body = found.answer or (200, found.stamp(query))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_values: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    found.url = f"http://127.0.0.1:{server.server_port}/"
    yield found
    server.shutdown()
    server.server_close()


def test_a_time_stamp_is_of_the_whole_certificate(tmp_path: Path, authority: Authority) -> None:
    ledger = certifiable_ledger(tmp_path)
    certify(ledger, stamp=lambda note: request_timestamp(authority.url, note))
    stored = load_certificate(ledger, "a")
    assert stored.timestamp is not None
    assert stamped_at(stored.timestamp).year >= 2024
    files = export(ledger, tmp_path / "files")
    stamp = files.folder / "certificate.tsr"
    stamp.write_bytes(stored.timestamp)
    verify = ["ts", "-verify", "-data", str(files.certificate), "-in", str(stamp), "-CAfile", str(authority.ca)]
    assert authority.openssl(*verify).returncode == 0
    words = ["--timestamp", stamp.name, "--ca", authority.ca]
    assert files.check(*words).returncode == 0
    other = authority.stamp(authority_query(authority, b"something else"))
    stamp.write_bytes(other)
    assert "the time stamp is of something else, or by somebody else" in files.check(*words).stdout
    ledger.close()


def authority_query(authority: Authority, content: bytes) -> bytes:
    """A query for a stamp of other content."""
    (authority.folder / "other").write_bytes(content)
    authority.openssl("ts", "-query", "-data", "other", "-sha256", "-cert", "-out", "other.tsq")
    return (authority.folder / "other.tsq").read_bytes()


def test_an_authority_that_gives_no_stamp_leaves_no_certificate(tmp_path: Path, authority: Authority) -> None:
    ledger = certifiable_ledger(tmp_path)

    def stamp(note: bytes) -> bytes:
        return request_timestamp(authority.url, note)

    refusal = bytes.fromhex("30053003020102")
    for answer, message in [
        ((503, b""), "answered with HTTP 503"),
        ((200, b"no"), "is not an answer of RFC 3161"),
        ((200, refusal), "refused to stamp the certificate"),
        ((200, authority.stamp(authority_query(authority, b"other"))), "a time stamp of something else"),
    ]:
        authority.answer = answer
        with pytest.raises(CertificateError, match=message):
            certify(ledger, stamp=stamp)
    with pytest.raises(CertificateError, match="cannot be reached"):
        certify(ledger, stamp=lambda note: request_timestamp("http://127.0.0.1:9/", note))
    with pytest.raises(ConfigError, match="timestamp: expected http:// or https://"):
        certify(ledger, stamp=lambda note: request_timestamp("ftp://x", note))
    assert list_certificates(ledger) == []
    ledger.close()
