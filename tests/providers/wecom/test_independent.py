"""A client that knows only the document, against `liushui serve`, each in a separate process."""

import ast
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from liushui.errors import LiushuiError
from liushui.provider import NO_VALUES
from liushui.providers.wecom import PROVIDER
from liushui.testing.processes import Running, run
from tests.providers.wecom import independent
from tests.providers.wecom.shop import ACCOUNT, ROWS, Shop, expired_token, told


@pytest.fixture(scope="module")
def key(shop: Shop) -> dict[str, str]:
    return shop.key()


def read(
    served: Running,
    credentials: Mapping[str, str],
    shop: Shop,
    asked: Mapping[str, object] = NO_VALUES,
    *,
    token: str | None = None,
) -> Any:  # noqa: ANN401 - JSON
    """Every page, and every error, of the whole range."""
    body = {"begin_time": shop.begin_time, "end_time": shop.end_time, **asked}
    job = {"url": served.url, **credentials, "asked": body, "token": token}
    done = subprocess.run(
        [sys.executable, "-I", independent.__file__],
        input=json.dumps(job),
        env=os.environ | {"TZ": "UTC"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_it_is_independent() -> None:
    imported = {
        alias.name if isinstance(node, ast.Import) else str(node.module)
        for node in ast.walk(ast.parse(Path(independent.__file__).read_text(encoding="utf-8")))
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
    }
    assert {name.partition(".")[0] for name in imported} <= sys.stdlib_module_names


@pytest.mark.parametrize(("limit", "pages"), [(200, 3), (100, 5), (7, 65), (1, 450)])
def test_every_row_arrives_oldest_first(
    served: Running, shop: Shop, key: dict[str, str], limit: int, pages: int
) -> None:
    result = read(served, key, shop, {"limit": limit})
    assert (len(result["pages"]), result["errors"]) == (pages, [])
    rows = [row for page in result["pages"] for row in page]
    assert told(rows) == told(shop.rows)
    times = [row["timestamp"] for row in rows]
    assert times == sorted(times)


def test_one_merchant(served: Running, shop: Shop, key: dict[str, str]) -> None:
    result = read(served, key, shop, {"mch_id": "1600000002", "limit": 50})
    expected = [row for row in shop.rows if row["mch_id"] == "1600000002"]
    assert told(row for page in result["pages"] for row in page) == told(expected)
    assert 0 < len(expected) < ROWS


def test_an_operator_that_is_not_visible(served: Running, shop: Shop) -> None:
    """Pages of four where runs of five rows are of one operator: some are short, some empty."""
    result = read(served, shop.key(restrictions={"operators": "LiSi"}), shop, {"limit": 4})
    expected = [row for row in shop.rows if row["operator_userid"] in (None, "LiSi")]
    assert told(row for page in result["pages"] for row in page) == told(expected)
    assert {len(page) for page in result["pages"]} >= {0, 1, 4}
    assert len(result["pages"]) == -(-ROWS // 4)


def test_a_token_that_has_expired(served: Running, shop: Shop, key: dict[str, str]) -> None:
    result = read(served, key, shop, token=expired_token(key))
    assert result["errors"] == [[42001, "access_token expired"]]
    assert told(row for page in result["pages"] for row in page) == told(shop.rows)


@pytest.mark.parametrize(
    ("wrong", "errors"),
    [
        ({"corpsecret": "wrong"}, [[40001, "invalid credential"]]),
        ({"corpid": "nobody"}, [[40013, "invalid corpid"]]),
    ],
)
def test_wrong_credentials(
    served: Running, shop: Shop, key: dict[str, str], wrong: dict[str, str], errors: list[object]
) -> None:
    assert read(served, key | wrong, shop) == {"pages": [], "errors": errors}


@pytest.mark.parametrize("wrong", [{"limit": 201}, {"cursor": "CURSOR"}, {"begin_time": 1605171726}, {"end_time": 0}])
def test_wrong_parameters(served: Running, shop: Shop, key: dict[str, str], wrong: dict[str, object]) -> None:
    result = read(served, key, shop, wrong)
    ((errcode, errmsg),) = result["errors"]
    assert (result["pages"], errcode) == ([], 40058)
    assert errmsg.startswith(f"invalid parameter: {next(iter(wrong))}: expected ")


def test_the_interface_is_not_permitted(served: Running, shop: Shop) -> None:
    key = shop.key(restrictions={"permission": "none"})
    assert read(served, key, shop) == {"pages": [], "errors": [[48002, "api forbidden"]]}


def test_a_key_that_is_revoked(served: Running, shop: Shop) -> None:
    key = shop.key()
    assert read(served, key, shop)["errors"] == []
    shop.revoke(key)
    assert read(served, key, shop)["errors"] == [[40013, "invalid corpid"]]


def flows(ledger: Path) -> list[dict[str, object]]:
    """What `liushui flows` prints of each, but for the number of the commit that it came with."""
    lines = run("flows", "--format", "jsonl", ledger=ledger, codes=(0, 3)).strip().split("\n")
    return [{name: value for name, value in json.loads(line).items() if name != "batch"} for line in lines]


def test_our_own_client_reads_it_into_another_ledger(
    served: Running, shop: Shop, key: dict[str, str], tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger.db"
    arguments = ["--base-url", served.url, "--credentials", "-", "--unpaced"]
    run("source", "add", PROVIDER.name, ACCOUNT, *arguments, ledger=ledger, given=json.dumps(key))
    run("sync", ledger=ledger)
    ours, theirs = flows(ledger), flows(shop.path)
    assert len(ours) == ROWS
    assert ours == theirs


def test_a_restriction_that_there_is_not(shop: Shop) -> None:
    with pytest.raises(LiushuiError, match="restrictions/more: expected operators or permission for wecom, got 'more'"):
        run("key", "create", "--dialect", "wecom", "--account", ACCOUNT, "--restrict", "more=1", ledger=shop.path)


def test_the_snippet_works_as_it_is_printed(served: Running, shop: Shop, key: dict[str, str], tmp_path: Path) -> None:
    program = tmp_path / "snippet.py"
    program.write_text(PROVIDER.snippet.format(base_url=served.url, socket_url=served.socket_url, **key))
    done = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    printed = [ast.literal_eval(line) for line in done.stdout.splitlines()]
    assert [row["timestamp"] for row in printed] == [row["timestamp"] for row in shop.rows[:5]]
    assert all(row in shop.rows for row in printed)
