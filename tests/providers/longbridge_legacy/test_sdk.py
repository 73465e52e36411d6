"""The generic client of the official `longbridge`, which signs any request: it posts to the first draft's path."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from liushui.instant import UNIX_SECONDS_MAX
from liushui.providers.longbridge_legacy import PROVIDER
from liushui.testing.processes import Running
from tests.providers.longbridge.asking import ask
from tests.providers.longbridge_legacy.conftest import Shelf

CLIENT = "longbridge post"
EVER = {"start_time": 0, "end_time": UNIX_SECONDS_MAX, "page": 1, "size": 10_000}


@pytest.fixture(scope="module")
def key(shelf: Shelf) -> dict[str, str]:
    return shelf.key("early")


def by_description(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    return sorted(rows, key=lambda row: str(row["description"]))


@pytest.mark.parametrize("prefix", ["", "/", "/dialect/longbridge_legacy"])
def test_every_row_arrives(shelf: Shelf, shop: Running, key: dict[str, str], prefix: str) -> None:
    """A slash at the end is signed twice, and a mounted dialect with its prefix."""
    whole, drained = ask(CLIENT, shop, key, dict(EVER), EVER | {"size": 800, "drain": True}, http_url=shop.url + prefix)
    assert by_description(whole["rows"]) == by_description(shelf.rows)
    assert drained["rows"] == whole["rows"]


@pytest.mark.parametrize(
    ("wrong", "code", "message"),
    [
        ({"app_secret": "0" * 64}, 1470403, "request forbidden: signature invalid"),
        ({"app_key": "nobody"}, 1470403, "request forbidden: apikey illegal"),
        ({"access_token": "m_wrong"}, 1470403, "request forbidden: token expired or invalid"),
    ],
)
def test_wrong_credentials(shop: Running, key: dict[str, str], wrong: dict[str, str], code: int, message: str) -> None:
    """It insists on `message`, and shows the trace."""
    (result,) = ask(CLIENT, shop, key | wrong, EVER)
    error = result["error"]
    assert (error["code"], error["message"], error["kind"]) == (code, message, "OpenApi")
    assert error["trace_id"] in error["text"]


def test_wrong_parameters(shop: Running, key: dict[str, str]) -> None:
    (result,) = ask(CLIENT, shop, key, EVER | {"size": "LO"})
    expected = "bad request: size: expected a whole number from 1 to 10000, got 'LO'"
    assert (result["error"]["code"], result["error"]["message"]) == (1470400, expected)


def test_the_snippet_works_as_it_is_printed(shelf: Shelf, shop: Running, key: dict[str, str], tmp_path: Path) -> None:
    program = tmp_path / "snippet.py"
    program.write_text(PROVIDER.snippet.format(base_url=shop.url, socket_url=shop.socket_url, **key))
    done = subprocess.run(
        [sys.executable, str(program)],
        env=os.environ | {"TZ": "UTC"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert [
        str(row["business_time"]) in line for row, line in zip(shelf.rows, done.stdout.splitlines(), strict=False)
    ] == [True] * 5
