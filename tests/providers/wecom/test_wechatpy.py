"""The public client `wechatpy`, both generations, unmodified, against `liushui serve`."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from liushui.providers.wecom import PROVIDER
from liushui.testing.processes import Running
from tests.providers.installed import installed
from tests.providers.wecom import public
from tests.providers.wecom.shop import ROWS, Shop, expired_token, told

MODULES: Final = {"wechatpy-1.8.18": "wechatpy.enterprise", "wechatpy-2.0.0a26": "wechatpy.work"}


class Client(NamedTuple):
    """One generation of the client."""

    module: str
    folder: Path

    def read(
        self,
        served: Running,
        credentials: Mapping[str, str],
        shop: Shop,
        *,
        path: str = "",
        limit: int = 100,
        **job: object,
    ) -> Any:  # noqa: ANN401 - JSON
        """Read every page of the shop with it, in a process of its own."""
        asked = {"begin_time": shop.begin_time, "end_time": shop.end_time, "limit": limit}
        given = {"module": self.module, "url": served.url + path, **credentials, "asked": asked} | job
        done = subprocess.run(
            [sys.executable, public.__file__],
            input=json.dumps(given),
            env=os.environ | {"TZ": "UTC", "PYTHONPATH": str(self.folder)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture(scope="module", params=MODULES)
def client(request: pytest.FixtureRequest) -> Client:
    name: str = request.param
    return Client(MODULES[name], installed(Path(__file__).with_name(f"{name}.txt")))


@pytest.fixture(scope="module")
def key(shop: Shop) -> dict[str, str]:
    """A key without a rate: the client does not pace itself."""
    return shop.key()


def all_rows(result: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of every page; there was no error."""
    assert result["error"] is None
    return [row for page in result["pages"] for row in page]


def test_what_is_tested_is_said() -> None:
    assert PROVIDER.tested_with == ", ".join(f"`wechatpy` {name.partition('-')[2]}" for name in MODULES)


@pytest.mark.parametrize(("limit", "pages"), [(200, 3), (100, 5), (7, 65)])
@pytest.mark.parametrize("path", ["", "/dialect/wecom"])
def test_every_row_arrives(
    client: Client, served: Running, shop: Shop, key: dict[str, str], limit: int, pages: int, path: str
) -> None:
    result = client.read(served, key, shop, limit=limit, path=path)
    assert told(all_rows(result)) == told(shop.rows)
    assert (len(result["pages"]), result["fetches"]) == (pages, 1)


def test_short_and_empty_pages(client: Client, served: Running, shop: Shop) -> None:
    result = client.read(served, shop.key(restrictions={"operators": "WangWu"}), shop, limit=3)
    expected = [row for row in shop.rows if row["operator_userid"] in (None, "WangWu")]
    assert told(all_rows(result)) == told(expected)
    assert {len(page) for page in result["pages"]} == {0, 1, 2, 3}


@pytest.mark.parametrize("lose_after", [1, 2, 4])
def test_a_token_that_is_lost_on_the_way(
    client: Client, served: Running, shop: Shop, key: dict[str, str], lose_after: int
) -> None:
    """It is fetched again: once, for the one that is given is good."""
    result = client.read(served, key, shop, lose_after=lose_after)
    assert told(all_rows(result)) == told(shop.rows)
    assert result["fetches"] == 2


def test_a_token_that_has_expired(client: Client, served: Running, shop: Shop, key: dict[str, str]) -> None:
    result = client.read(served, key, shop, token=expired_token(key))
    assert told(all_rows(result)) == told(shop.rows)
    assert result["fetches"] == 1


@pytest.mark.parametrize(
    ("wrong", "errcode", "errmsg"),
    [({"corpsecret": "wrong"}, 40001, "invalid credential"), ({"corpid": "nobody"}, 40013, "invalid corpid")],
)
def test_wrong_credentials(
    client: Client, served: Running, shop: Shop, key: dict[str, str], wrong: dict[str, str], errcode: int, errmsg: str
) -> None:
    result = client.read(served, key | wrong, shop)
    assert result == {"pages": [], "fetches": 1, "error": [errcode, errmsg, "WeChatClientException"]}


def test_a_wrong_parameter(client: Client, served: Running, shop: Shop, key: dict[str, str]) -> None:
    errcode, errmsg, kind = client.read(served, key, shop, limit=201)["error"]
    assert (errcode, kind) == (40058, "WeChatClientException")
    assert errmsg == "invalid parameter: limit: expected a whole number from 1 to 200, got '201'"


def test_a_key_that_is_revoked_ends_the_client(client: Client, served: Running, shop: Shop) -> None:
    """With the token of a key that is gone it asks for another one, and is told that there is none."""
    key = shop.key()
    token = expired_token(key)
    assert len(all_rows(client.read(served, key, shop, token=token))) == ROWS
    shop.revoke(key)
    result = client.read(served, key, shop, token=token)
    assert result == {"pages": [], "fetches": 1, "error": [40013, "invalid corpid", "WeChatClientException"]}


def test_too_many_calls(client: Client, served: Running, shop: Shop) -> None:
    """The rate is one, however many workers there are."""
    rate = PROVIDER.rules.rate
    key = shop.key(paced=True)
    first = client.read(served, key, shop, limit=1)
    second = client.read(served, key, shop, limit=1)
    assert (first["error"], second["error"]) == (None, [45009, "api freq out of limit", "APILimitedException"])
    assert len(first["pages"]) + len(second["pages"]) == rate.calls
