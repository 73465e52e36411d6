"""`liushui mcp` as an assistant uses it: the official client starts it and talks to it over its standard streams."""

import asyncio
import json
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters
from mcp_types import CallToolResult

from liushui.cli.mcp import server_url
from liushui.cli.options import default_ledger
from liushui.client.client import Client as ApiClient
from liushui.errors import ConfigError
from liushui.ledger.access.tokens import Scope, create_token, revoke_token
from liushui.ledger.engine import Ledger
from liushui.mcp.tools import TOOLS
from liushui.server.running import PURPOSE, RunningServer, record_server
from liushui.temporary_folder import temporary_folder
from liushui.testing.processes import Running, free_port, serving
from tests.cli.commands import LIUSHUI, newcomers_environment, run
from tests.ledger.ledgers import new_ledger
from tests.web.ledgers import fill

T = TypeVar("T")

TIMEOUT_S: Final = 60


class Assistant(NamedTuple):
    """An assistant that was given a token."""

    home: Path
    url: str
    token: str

    def ask(self, question: Callable[[Client], Awaitable[T]]) -> T:
        """The answer to what an assistant does in one session."""

        async def session() -> T:
            environment = newcomers_environment(self.home) | {"LIUSHUI_TOKEN": self.token}
            command, *words = LIUSHUI
            server = StdioServerParameters(command=command, args=[*words, "mcp", "--url", self.url], env=environment)
            async with Client(server, read_timeout_seconds=TIMEOUT_S) as client:
                return await question(client)

        return asyncio.run(session())

    def call(self, *calls: tuple[str, dict[str, Any]]) -> list[CallToolResult]:
        """The answers to some calls of tools."""

        async def question(client: Client) -> list[CallToolResult]:
            return [await client.call_tool(name, arguments) for name, arguments in calls]

        return self.ask(question)


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    """The accounts `a`, with a gap, a flow to review and a rejected row, and `b`, which is complete."""
    ledger = new_ledger(tmp_path_factory.mktemp("mcp"), "a", "b")
    fill(ledger)
    yield ledger
    ledger.close()


@pytest.fixture(scope="module")
def served(ledger: Ledger) -> Iterator[Running]:
    with serving(ledger.name) as running:
        yield running


@pytest.fixture
def assistant(served: Running, ledger: Ledger, tmp_path: Path) -> Assistant:
    """One that may read every account."""
    return Assistant(tmp_path, served.url, create_token(ledger, names=None, scopes=[Scope.READ]).text)


def content(result: CallToolResult) -> Any:  # noqa: ANN401 - JSON
    """The structured answer of a call, which the text says too."""
    assert not result.is_error, result.content
    (block,) = result.content
    assert json.loads(block.text) == result.structured_content  # type: ignore[union-attr]
    return result.structured_content


def refusal(result: CallToolResult) -> str:
    """Why a call was refused."""
    assert result.is_error
    (block,) = result.content
    return str(block.text)  # type: ignore[union-attr]


def numbers(value: object) -> Iterator[float]:
    """Every number in an answer that is not whole."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from numbers(part)
    elif isinstance(value, float):
        yield value


def test_the_tools_only_read_and_say_what_they_take_and_answer(assistant: Assistant) -> None:
    async def question(client: Client) -> Any:  # noqa: ANN401 - the SDK's own
        return client.instructions, (await client.list_tools()).tools

    instructions, tools = assistant.ask(question)
    assert "never instructions to you" in instructions
    assert [tool.name for tool in tools] == [tool.name for tool in TOOLS]
    for tool in tools:
        assert tool.annotations is not None and tool.annotations.read_only_hint
        assert tool.input_schema["type"] == tool.output_schema["type"] == "object"
        assert tool.input_schema["additionalProperties"] is False
        properties = tool.output_schema["properties"]
        # An account has its own completeness, and so has each of its months.
        assert "complete" in properties or tool.name in ("list_accounts", "reconcile")


def test_every_answer_has_its_completeness_and_amounts_as_text(assistant: Assistant) -> None:
    """The official client also compares each answer with the tool's schema."""
    answers = dict(
        zip([tool.name for tool in TOOLS], assistant.call(*((tool.name, {}) for tool in TOOLS)), strict=True)
    )
    accounts = {one["account"]: one for one in content(answers["list_accounts"])["accounts"]}
    assert (accounts["a"]["complete"], accounts["b"]["complete"]) == (False, True)
    assert accounts["a"]["reason"]
    flows = content(answers["list_flows"])
    assert {flow["account"] for flow in flows["flows"]} == {"a", "b"}
    assert "-250.125" in {flow["amount"] for flow in flows["flows"]}
    for name in ("list_flows", "list_balances", "summarize_flows", "list_fees", "list_breaks"):
        answer = content(answers[name])
        assert answer["complete"] is False
        assert {gap["account"] for gap in answer["gaps"]} == {"a"}
        assert all(gap["reason"] for gap in answer["gaps"])
    months = {one["account"]: one for one in content(answers["reconcile"])["months"]}
    assert set(months) == {"a", "b"}
    assert all(
        isinstance(one["complete"], bool) and (one["check"] == "pass" or one["reason"]) for one in months.values()
    )
    coverage = content(answers["show_coverage"])
    assert coverage["complete"] is False
    assert any(one["state"] == "open" and one["reason"] for one in coverage["ranges"])
    assert not [number for answer in answers.values() for number in numbers(content(answer))]


def test_parameters_select_what_is_answered(assistant: Assistant) -> None:
    first, balance, reconciled, summary = assistant.call(
        ("list_flows", {"account": ["a"], "limit": 1, "order": "oldest", "since": "2025-11-01"}),
        ("list_balances", {"account": ["b"], "at": "2025-12-01", "currency": "usd"}),
        ("reconcile", {"account": ["a"], "period": "2025-11"}),
        ("summarize_flows", {"account": ["a"], "period": "year", "by": ["kind"], "currency": "USD"}),
    )
    assert [flow["id"] for flow in content(first)["flows"]] == ["a1"]
    (second,) = assistant.call(
        ("list_flows", {"account": ["a"], "limit": 1, "order": "oldest", "since": "2025-11-01",
                        "cursor": content(first)["next"]}),
    )  # fmt: skip
    assert [flow["id"] for flow in content(second)["flows"]] == ["a2"]
    (only,) = content(balance)["balances"]
    assert (only["account"], only["amount"], only["complete"]) == ("b", "100.00", True)
    assert only["check"] == "could_not_check", "its opening balance follows from the only stated one"
    assert content(balance)["complete"] is True
    (month,) = content(reconciled)["months"]
    assert (month["account"], month["period"], month["check"]) == ("a", "2025-11", "could_not_check")
    assert {line["currency"]: line["ledger"]["money_in"] for line in month["lines"]} == {"USD": "1000.00", "HKD": "5"}
    totals = {row["kind"]: Decimal(row["net"]) for row in content(summary)["rows"]}
    assert totals == {"deposit": 1000, "trade": Decimal("-250.125"), "withdrawal": -100}


def test_a_token_shows_only_its_accounts(assistant: Assistant, ledger: Ledger) -> None:
    limited = assistant._replace(token=create_token(ledger, names=["b"], scopes=[Scope.READ]).text)
    everything = limited.call(*((tool.name, {}) for tool in TOOLS))
    assert {account["account"] for account in content(everything[0])["accounts"]} == {"b"}
    assert '"a"' not in "".join(json.dumps(content(answer)) for answer in everything)
    (foreign, missing) = limited.call(("list_flows", {"account": ["a"]}), ("list_flows", {"account": ["none"]}))
    assert refusal(foreign).replace("'a'", "'none'") == refusal(missing), "it does not show that it exists"


def test_a_wrong_call_is_answered_with_the_reason(assistant: Assistant) -> None:
    calls: list[tuple[str, dict[str, Any], str]] = [
        ("list_flows", {"limit": 100_000}, "Expected `int` <= 500 - at `$.limit`"),
        ("list_flows", {"amount_min": 1.5}, "Expected `str | null`, got `float` - at `$.amount_min`"),
        ("list_flows", {"acount": ["a"]}, "unknown field `acount`"),
        ("list_flows", {"since": "yesterday"}, "since"),
        ("show_coverage", {"account": ["none"]}, "(404)"),
        ("delete_account", {"account": "a"}, "tool: expected one of list_accounts, "),
    ]
    results = assistant.call(*((name, arguments) for name, arguments, _ in calls))
    for (_, _, reason), result in zip(calls, results, strict=True):
        assert reason in refusal(result)


def test_a_token_that_may_not_read(assistant: Assistant, ledger: Ledger) -> None:
    token = create_token(ledger, names=None, scopes=[Scope.MANAGE])
    (result,) = assistant._replace(token=token.text).call(("list_accounts", {}))
    assert "this needs the scope read" in refusal(result)
    revoke_token(ledger, token.token.id)
    (result,) = assistant._replace(token=token.text).call(("list_accounts", {}))
    assert "(401)" in refusal(result)


def test_a_server_that_is_not_there(assistant: Assistant) -> None:
    (result,) = assistant._replace(url=f"http://127.0.0.1:{free_port()}").call(("list_accounts", {}))
    assert "no answer" in refusal(result)


def test_without_a_token_or_without_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = run(tmp_path / "none.db", "mcp")
    assert done.returncode == 2
    assert "LIUSHUI_TOKEN: expected a token" in done.stderr
    monkeypatch.setitem(sys.modules, "mcp.server", None)
    monkeypatch.delitem(sys.modules, "liushui.mcp.server", raising=False)
    done = run(tmp_path / "none.db", "mcp")
    assert done.returncode == 2
    assert "pip install 'liushui[mcp]'" in done.stderr


def test_it_finds_the_server_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert server_url() == "http://127.0.0.1:8700"
    with temporary_folder(PURPOSE) as one, temporary_folder(PURPOSE) as two:
        record_server(one, RunningServer("http://0.0.0.0:1", "one.db"))
        assert server_url() == "http://127.0.0.1:1"
        record_server(two, RunningServer("http://127.0.0.1:2", "two.db"))
        with pytest.raises(ConfigError, match=r"choose one with --url: http://0.0.0.0:1, http://127.0.0.1:2"):
            server_url()
        record_server(two, RunningServer("http://127.0.0.1:2", str(default_ledger())))
        assert server_url() == "http://127.0.0.1:2"


def test_only_routes_that_read_are_called() -> None:
    """The tools call with GET alone, and no route of the API changes anything on a GET."""
    called: list[str] = []

    class Recorder(ApiClient):
        def _call(self, method: str, path: str, **_rest: Any) -> Any:  # noqa: ANN401 - as the client declares it
            called.append(f"{method} {path}")
            raise RuntimeError("recorded")

    with Recorder("http://127.0.0.1:9", "token") as client:
        for tool in TOOLS:
            with pytest.raises(RuntimeError, match="recorded"):
                tool.read(client, {})
    paths = ("accounts", "flows", "balances", "summary", "fees", "coverage", "reconciliation", "breaks")
    assert called == [f"GET /{path}" for path in paths]
