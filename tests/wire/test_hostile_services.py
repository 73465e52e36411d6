"""`liushui sync` against services that misbehave: bounded memory and time, one clear line, exit code 1.

Nothing is sent to another host, even after a redirect.
"""

import json
from pathlib import Path
from random import Random
from typing import Final, NamedTuple

import pytest

from liushui.cli import EXIT_FAILED
from liushui.ledger.jobs.sources import Source
from liushui.provider import DocumentCodec, Provider
from liushui.providers import load_providers
from liushui.services.sources import add_source
from liushui.testing.empty_ledger import create_ledger
from liushui.testing.hostile_server import (
    Behaviour,
    endless_body,
    gzip_bomb,
    hostile_server,
    no_answer,
    redirect,
    silent_listener,
    slow_body,
    slow_headers,
    whole_body,
)
from liushui.testing.processes import Measured, measure
from liushui.wire.rsa import read_private_key, sign
from liushui.wire.transport import BODY_MAX, TIMEOUTS_PER_CALL

MEMORY_MAX: Final = 200 * 1024 * 1024
TIMEOUT_S: Final = 0.5
SLOW_ATTEMPTS: Final = 2
START_S: Final = 15
"""More than a process and its last words take, on a busy machine."""
PROVIDERS: Final = load_providers()
ONE: Final = PROVIDERS["wecom"]
"""The one whose first call is for a token."""


class Outcome(NamedTuple):
    """A sync from a hostile service: what it took, what it said, and the paths that it asked for."""

    took: Measured
    error: str
    requests: list[str]


def sync_from(
    behaviour: Behaviour, provider: Provider, folder: Path, *arguments: str, names_service: bool = True
) -> Outcome:
    """Sync a source at a hostile service, in a process of its own, and check what must hold whatever it does."""
    ledger = folder / "ledger.db"
    with hostile_server(behaviour) as service:
        _add_source(ledger, provider, service.url)
        took = measure("sync", "--format", "json", *arguments, ledger=ledger)
    assert took.code == EXIT_FAILED, took
    assert "Traceback" not in took.messages
    assert took.peak_bytes < MEMORY_MAX
    (result,) = json.loads(took.output)
    error: str = result["error"]
    assert "\n" not in error
    assert error.count(service.url) == names_service
    assert (result["status"], result["rows"], result["slices"]) == ("failed", 0, 0)
    # The table has the error already: no message repeats it.
    assert [line for line in took.messages.splitlines() if line.strip()] == []
    return Outcome(took, error.replace(service.url, "URL"), service.requests)


def _add_source(path: Path, provider: Provider, base_url: str) -> None:
    ledger = create_ledger(str(path))
    try:
        credentials = provider.simulate_credentials(Random(1).randbytes)
        add_source(
            ledger,
            Source(
                "source",
                provider.name,
                provider.rules.zone,
                base_url,
                credentials,
                provider.rules.history_start,
                paced=False,
            ),
        )
    finally:
        ledger.close()


@pytest.mark.parametrize("provider", [pytest.param(provider, id=name) for name, provider in PROVIDERS.items()])
@pytest.mark.parametrize("behaviour", [endless_body, gzip_bomb])
def test_a_body_without_end(behaviour: type, provider: Provider, tmp_path: Path) -> None:
    outcome = sync_from(behaviour(), provider, tmp_path)
    assert outcome.error == f"an answer of URL is longer than {BODY_MAX // 1024**2} MiB, and was not read on"
    assert len(outcome.requests) == 1
    assert outcome.took.time_s < START_S


ROW_OF_62_MIB: Final = b'{"x":"%b"}' % (b"x" * (62 * 1024**2))
ANSWERS: Final = {
    "alipay": b'{"alipay_data_bill_accountlog_query_response":{"code":"10000","detail_list":[%b]},"sign":"%%b"}',
    "hkus": b'{"code":0,"data":{"total_records":1,"transactions":[%b]}}',
    "longbridge": b'{"code":0,"message":"success","data":{"list":[%b]}}',
    "longbridge_legacy": b'{"code":0,"message":"success","data":{"list":[%b]}}',
    "binance_usdm": b"[%b]",
    "bybit": b'{"retCode":0,"retMsg":"OK","result":{"nextPageCursor":"","list":[%b]}}',
    "okx": b'{"code":"0","msg":"","data":[%b]}',
    "stripe": b'{"object":"list","has_more":false,"url":"/v1/balance_transactions","data":[%b]}',
    "wooxpro": b'{"code":1000,"message":"success","data":[%b],"trace":"x"}',
    "wecom": b'{"errcode":0,"errmsg":"ok","access_token":"x","expires_in":7200,"fund_flow_list":[%b]}',
}
"""An answer with a row. Documents are tables, whose cells have a limit of their own."""


def test_every_provider_but_those_of_documents_has_an_answer() -> None:
    documents = {name for name, one in PROVIDERS.items() if isinstance(one.codec, DocumentCodec)}
    assert set(ANSWERS) == set(PROVIDERS) - documents


@pytest.mark.parametrize("provider", [pytest.param(PROVIDERS[name], id=name) for name in ANSWERS])
@pytest.mark.parametrize("row", [ROW_OF_62_MIB, ROW_OF_62_MIB[:-1] + b',"y":NaN}'], ids=["valid", "broken"])
def test_a_row_as_large_as_a_whole_answer(provider: Provider, row: bytes, tmp_path: Path) -> None:
    if provider.name == "wecom" and b"NaN" in row:
        row = row.replace(b"NaN", b"1")  # the answer with the token would be broken as well
    answer = ANSWERS[provider.name] % row
    if provider.name == "alipay":  # an answer that is not signed is not looked into
        answer = signed_by_alipay(answer)
    outcome = sync_from(whole_body(answer), provider, tmp_path, names_service=False)
    assert outcome.error == "an answer has a row of 62 MiB: expected at most 16 MiB"
    assert outcome.took.time_s < 2 * START_S


def signed_by_alipay(answer: bytes) -> bytes:
    """The answer with the signature of the key whose other half the source has."""
    key = read_private_key("key", PROVIDERS["alipay"].simulate_credentials(Random(1).randbytes)["alipay_private_key"])
    content, _, _ = answer.partition(b":")[2].rpartition(b',"sign"')
    return answer % sign(key, content).encode()


@pytest.mark.parametrize("behaviour", [slow_body, slow_headers])
def test_an_answer_that_comes_a_byte_at_a_time(behaviour: type, tmp_path: Path) -> None:
    """No pause is as long as the timeout, so only a bound of the whole call ends it."""
    outcome = sync_from(behaviour(), ONE, tmp_path, "--timeout", str(TIMEOUT_S))
    assert outcome.error == f"no whole answer of URL within {TIMEOUTS_PER_CALL * TIMEOUT_S:g} s"
    assert len(outcome.requests) == SLOW_ATTEMPTS
    assert outcome.took.time_s < SLOW_ATTEMPTS * TIMEOUTS_PER_CALL * TIMEOUT_S + START_S


@pytest.mark.parametrize("provider", [pytest.param(provider, id=name) for name, provider in PROVIDERS.items()])
def test_a_service_that_never_answers(provider: Provider, tmp_path: Path) -> None:
    """How often it is tried by default, tests/sync/test_caller.py shows in virtual time."""
    attempts = 2
    outcome = sync_from(no_answer(), provider, tmp_path, "--timeout", str(TIMEOUT_S), "--attempts", str(attempts))
    assert outcome.error == f"URL took the call and gave no answer in {TIMEOUT_S:g} s"
    assert len(outcome.requests) == attempts
    assert outcome.took.time_s < attempts * TIMEOUT_S + START_S


@pytest.mark.parametrize("provider", [pytest.param(provider, id=name) for name, provider in PROVIDERS.items()])
def test_a_redirect_to_another_host(provider: Provider, tmp_path: Path) -> None:
    """307 asks to send the same request, with its body and its headers, once more."""
    with silent_listener() as other:
        outcome = sync_from(redirect(f"{other.url}/elsewhere", 307), provider, tmp_path)
        assert other.connections == 0
    assert outcome.error == f"URL redirects to '{other.url}/elsewhere', which was not followed"
    assert len(outcome.requests) == 1


@pytest.mark.parametrize("target", ["", "file:///etc/passwd", "//127.0.0.1:1/x", "https://127.0.0.1:1/?key=secret"])
def test_other_redirects(target: str, tmp_path: Path) -> None:
    """To itself, a file, another port, another scheme. Queries are not shown: they may have credentials."""
    outcome = sync_from(redirect(target, 301), ONE, tmp_path)
    shown = target.partition("?")[0] or outcome.requests[0]
    assert outcome.error == f"URL redirects to '{shown}', which was not followed"
    assert len(outcome.requests) == 1
