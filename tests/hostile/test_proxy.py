"""Behind a real nginx, at the root and under a prefix: links, cookies, redirects, clients, hosts and signatures."""

import re
import ssl
from base64 import b64decode, b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import httpx2
import pytest

from liushui.ledger.access.keys import create_key
from liushui.ledger.access.sessions import set_password
from liushui.ledger.access.tokens import Scope, create_token
from liushui.ledger.engine import open_ledger
from liushui.providers import get_provider
from liushui.testing.processes import HOST, Running, free_port, serving
from tests.cli.commands import result, run
from tests.importing.inputs import envelope, row
from tests.ledger.ledgers import commit_read, hours, make_row, new_ledger
from tests.nginx import find_nginx, running_nginx
from tests.providers.longbridge.asking import ask

PAGE: Final = Path(__file__).parents[2] / "docs" / "proxy.md"
NAME: Final = "books.example"
PASSWORD: Final = "correct horse battery"
PATIENCE_S: Final = 60
EVER: Final = {"start_time": "1970-01-01T00:00:00", "end_time": "2100-01-01T00:00:00"}


@dataclass
class Proxied:
    """A server behind nginx, and how it is reached."""

    running: Running
    ledger: Path
    prefix: str
    tls_port: int
    plain_port: int

    @property
    def origin(self) -> str:
        """What browsers call the public address, without its path."""
        return f"https://{NAME}:{self.tls_port}"

    def client(self, source: str = HOST) -> httpx2.Client:
        """A client at an address of this machine, that knows the server by its public name."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return httpx2.Client(
            base_url=f"https://{HOST}:{self.tls_port}",
            headers={"host": f"{NAME}:{self.tls_port}", "origin": self.origin, "accept": "text/html"},
            transport=httpx2.HTTPTransport(verify=context, local_address=source),
            timeout=PATIENCE_S,
        )

    def log_in(self, client: httpx2.Client, secret: str = PASSWORD) -> httpx2.Response:
        """The answer to a login with a password."""
        return client.post(f"{self.prefix}/login", data={"secret": secret})


def nginx_server(prefix: str, upstream: str, tls_port: int, plain_port: int) -> str:
    """The server of the documentation, with this machine's ports and paths."""
    (block,) = re.findall(r"```nginx\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    text = str(block)
    for old, new in (
        ("listen 443 ssl;", f"listen {HOST}:{tls_port} ssl; listen {HOST}:{plain_port};"),
        ("/etc/ssl/books.example.pem", "certificate.pem"),
        ("/etc/ssl/books.example.key", "key.pem"),
        ("location /ledger/ {", f"location {prefix}/ {{"),
        ("http://127.0.0.1:8700", upstream),
    ):
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


@pytest.fixture(params=["", "/ledger"], ids=["at the root", "under a prefix"], scope="module")
def proxied(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    """A server behind nginx. It listens on loopback only."""
    if find_nginx() is None:
        pytest.skip("there is no nginx on this machine: `make servers` installs it")
    prefix, folder = request.param, tmp_path_factory.mktemp("proxied")
    ledger = new_ledger(folder, "a", "长")
    commit_read(ledger, hours(0, 1), *[make_row(str(at), at / 1000) for at in range(100)], account="长")
    set_password(ledger, PASSWORD)
    ledger.close()
    (folder / "rows.json").write_bytes(envelope([row(number) for number in range(60)]))
    words = ("import", str(folder / "rows.json"), "--provider", "longbridge", "--account", "a")
    assert run(folder / "ledger.db", *words).returncode == 0
    tls_port, plain_port = free_port(), free_port()
    options = ["--public-url", f"https://{NAME}:{tls_port}{prefix}", "--trusted-proxy", HOST]
    with serving(folder / "ledger.db", *options) as running:
        server = nginx_server(prefix, running.url, tls_port, plain_port)
        with running_nginx(server, tls_port, plain_port):
            yield Proxied(running, folder / "ledger.db", prefix, tls_port, plain_port)


def test_a_browser_logs_in_with_a_cookie_of_the_prefix_that_only_tls_carries(proxied: Proxied) -> None:
    with proxied.client() as client:
        closed = client.get(f"{proxied.prefix}/flows?text=a")
        assert (closed.status_code, closed.headers["location"]) == (
            303,
            f"{proxied.prefix}/login?next=/flows%3Ftext%3Da",
        )
        answer = proxied.log_in(client)
        assert (answer.status_code, answer.headers["location"]) == (303, f"{proxied.prefix}/")
        cookie = answer.headers["set-cookie"]
        assert "; Secure" in cookie
        assert re.search(rf"; Path={proxied.prefix or '/'}(;|$)", cookie)
        assert client.get(f"{proxied.prefix}/").status_code == 200
        assert client.post(f"{proxied.prefix}/logout", headers={"origin": "https://evil.example"}).status_code == 403


def kind_of(address: str) -> str:
    """What pages have in common that differ by their filter, or by a month or a number in their path."""
    return re.sub(r"[0-9]+", "0", address.partition("?")[0])


def test_every_address_on_every_page_leads_somewhere(proxied: Proxied) -> None:
    attributes = re.compile(r'\s(?:href|src|hx-get|data-loads|data-rows|spec-url)="(/[^"]*)"')
    with proxied.client() as client:
        assert proxied.log_in(client).status_code == 303
        waiting, kinds = [f"{proxied.prefix}/"], {f"{proxied.prefix}/"}
        while waiting:
            address = waiting.pop()
            answer = client.get(address, headers={"hx-request": "true"} if "/page/" in address else {})
            # A format may be unable to hold the listed flows: the page then says so.
            fitting = (200, 303, 422) if "/flows/download." in address else (200, 303)
            assert answer.status_code in fitting, f"{address}: {answer.status_code} {answer.text[:300]}"
            if "text/html" not in answer.headers.get("content-type", ""):
                continue
            found = [unescape(text) for text in attributes.findall(answer.text)]
            for link in found:
                assert link.startswith(f"{proxied.prefix}/"), f"{link} on {address}"
            for link in found:
                if kind_of(link) not in kinds:
                    kinds.add(kind_of(link))
                    waiting.append(link)
        assert {
            f"{proxied.prefix}/{name}" for name in ("flows", "sources", "keys", "providers", "api/v0/docs")
        } <= kinds
        root = re.search(r'data-root="([^"]*)"', client.get(f"{proxied.prefix}/providers").text)
        assert root is not None
        assert root[1] == f"{proxied.prefix}/", "where scripts find the server's pages"


def test_the_login_counts_each_client_by_itself(proxied: Proxied) -> None:
    with proxied.client("127.0.0.2") as guesser, proxied.client("127.0.0.3") as owner:
        statuses = [proxied.log_in(guesser, "wrong").status_code for _ in range(11)]
        assert statuses == [403] * 10 + [429]
        forged = guesser.post(
            f"{proxied.prefix}/login", data={"secret": "wrong"}, headers={"x-forwarded-for": "192.0.2.1"}
        )
        assert forged.status_code == 429
        assert proxied.log_in(owner).status_code == 303


def test_the_server_answers_to_its_public_name_and_to_no_other(proxied: Proxied) -> None:
    token = create_token_in(proxied.ledger)
    for host, status in ((f"{NAME}:{proxied.tls_port}", 200), ("localhost", 200), ("evil.example", 403)):
        headers = {"host": host, "authorization": f"Bearer {token}"}
        with httpx2.Client(base_url=proxied.running.url, headers=headers, timeout=PATIENCE_S) as direct:
            assert direct.get("/login").status_code == status
            assert direct.get("/api/v1/accounts").status_code == status
            assert direct.get("/healthz").status_code == 200


def test_the_api_answers_under_the_prefix(proxied: Proxied) -> None:
    with proxied.client() as client:
        client.headers["authorization"] = f"Bearer {create_token_in(proxied.ledger)}"
        answer = client.get(f"{proxied.prefix}/api/v1/accounts")
        assert [account["account"] for account in answer.json()["accounts"]] == ["a", "长"]
        assert client.get(f"{proxied.prefix}/healthz").status_code == 200


@pytest.mark.parametrize("client", ["longbridge", "longbridge http"])
@pytest.mark.parametrize("mount", ["", "/dialect/longbridge"])
def test_official_clients_sign_the_public_address(proxied: Proxied, client: str, mount: str) -> None:
    ledger = open_ledger(str(proxied.ledger))
    key = create_key(ledger, get_provider("longbridge"), ["a"], paced=False)
    ledger.close()
    public = f"http://{HOST}:{proxied.plain_port}{proxied.prefix}{mount}"
    through, direct = (
        ask(client, proxied.running, key, dict(EVER), http_url=url) for url in (public, proxied.running.url)
    )
    assert through == direct
    assert len(through[0]["rows"]) == 50


def create_token_in(path: Path) -> str:
    """The text of a token that may do everything."""
    ledger = open_ledger(str(path))
    try:
        return create_token(ledger, names=None, scopes=list(Scope)).text
    finally:
        ledger.close()


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["--public-url", "books.example"], "public-url: expected https://HOST or https://HOST/PREFIX"),
        (["--public-url", "https://books.example/?a=b"], "public-url: expected https://HOST or https://HOST/PREFIX"),
        (["--public-url", "https://books.example/api"], "public-url: expected a prefix that is not a path of liushui"),
        (["--public-url", "https://books.example:x"], "public-url: expected https://HOST/PREFIX"),
        (["--trusted-proxy", "nginx"], "trusted-proxy: expected an IP address, or a network such as 10.0.0.0/8"),
        (["--trusted-proxy", "10.0.0.1/8"], "trusted-proxy: expected an IP address, or a network"),
        (["--public-url", "https://books.example"], "the page has no password yet"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(tmp_path: Path, words: list[str], error: str) -> None:
    new_ledger(tmp_path).close()
    done = run(tmp_path / "ledger.db", "serve", "--port", "0", *words)
    assert (done.returncode, error in done.stderr) == (2, True), done.stderr


def test_simplefin_is_claimed_and_read_through_the_public_address(proxied: Proxied) -> None:
    """The command finds the public address of the server that runs, and the token and the access URL have it."""
    made = result(proxied.ledger, "key", "create", "--dialect", "simplefin", "--account", "a")
    claim_url = b64decode(made["setup_token"]).decode()
    root = f"{proxied.origin}{proxied.prefix}/dialect/simplefin"
    assert claim_url.startswith(f"{root}/claim/")
    with proxied.client() as client:
        claimed = client.post(claim_url.removeprefix(proxied.origin))
        assert claimed.status_code == 200, claimed.text
        parts = urlsplit(claimed.text)
        assert f"https://{parts.netloc.partition('@')[2]}{parts.path}" == root
        assert client.post(claim_url.removeprefix(proxied.origin)).status_code == 403
        pair = f"{parts.username}:{parts.password}"
        basic = f"Basic {b64encode(pair.encode()).decode()}"
        answer = client.get(f"{parts.path}/accounts", headers={"authorization": basic})
        assert answer.status_code == 200, answer.text
        assert set(answer.json()) == {"errors", "accounts"}
        create = client.get(f"{parts.path}/create")
        assert create.headers["location"] == f"{proxied.origin}{proxied.prefix}/keys/new?dialect=simplefin"
