"""The API answers as its OpenAPI document says: schemathesis makes requests from the document to a server."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, assume, given, settings
from schemathesis import GenerationMode
from schemathesis.config import SchemathesisConfig
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from liushui.ledger.access.tokens import Scope, create_token
from liushui.ledger.engine import open_ledger
from liushui.ledger.write.record import make_own_account
from liushui.testing.processes import Running, serving
from tests.ledger.ledgers import commit_read, hours, make_row, new_ledger, rejected_row

EXAMPLES = 8
"""Requests of each kind for each operation: all of them take well under a minute."""

LINES = "application/x-ndjson"

pytestmark = pytest.mark.filterwarnings("default")  # what the tool's own dependencies warn of is not ours

CONFIG = SchemathesisConfig.from_dict(
    {
        "checks": {
            "positive_data_acceptance": {
                # A request that matches the document may still name nothing that exists, or contradict the ledger or
                # itself.
                "expected-statuses": ["2xx", "304", "403", "404", "409", "422"],
            },
            "negative_data_rejection": {
                "expected-statuses": ["400", "401", "403", "404", "405", "409", "413", "415", "422"]
            },
        }
    }
)


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger with something of everything."""
    folder = tmp_path_factory.mktemp("contract")
    ledger = new_ledger(folder, "a", "b")
    commit_read(ledger, hours(0, 24), make_row("one", 1), make_row("two", 2, "-3.50"), rejected=[rejected_row("x")])
    commit_read(ledger, hours(0, 24), make_row("one", 1), make_row("two", 2, "-3.25"), rejected=[rejected_row("x")])
    make_own_account(ledger, "mine", "UTC")
    ledger.close()
    return folder / "ledger.db"


@pytest.fixture(scope="module")
def running(book: Path) -> Iterator[Running]:
    with serving(book) as running:
        yield running


@pytest.fixture(scope="module")
def token(book: Path) -> str:
    ledger = open_ledger(str(book))
    text = create_token(ledger, names=None, scopes=list(Scope), calls_per_minute=1_000_000).text
    ledger.close()
    return text


@pytest.fixture(scope="module")
def contract(running: Running) -> schemathesis.schemas.BaseSchema:
    schema = schemathesis.openapi.from_url(f"{running.url}/api/v1/openapi.json", config=CONFIG)
    return schema.exclude(path="/api/v1/events")  # it never ends


@schemathesis.serializer(LINES)
def _lines(_context: object, value: object) -> bytes:
    return str(value).encode()


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=lambda mode: mode.value)
def test_answers_match_the_document(
    contract: schemathesis.schemas.BaseSchema, token: str, mode: GenerationMode
) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    tried = 0
    failures: list[Exception] = []
    for found in contract.get_all_operations():
        assert isinstance(found, Ok)
        operation = found.ok()
        if mode is GenerationMode.NEGATIVE and not _has_anything(operation):
            continue

        @settings(
            max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate]
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def answered(case: Any) -> None:  # noqa: ANN401 - the tool's own
            assume(not _has_whole_float(case.body))
            # Granian refuses a malformed Transfer-Encoding before the request reaches us.
            assume("transfer-encoding" not in {name.lower() for name in case.headers or ()})
            # The document can say that lines of JSON are text, but not which text is valid. If each row is recorded by
            # itself, the answer is 200 and says which rows were refused.
            says_too_little = case.media_type == LINES or (case.query or {}).get("mode") == "each"
            unsaid = [positive_data_acceptance, negative_data_rejection] if says_too_little else []
            case.call_and_validate(headers=headers, excluded_checks=unsaid)

        try:
            answered()
        except Exception as error:  # of every operation, not of the first alone
            failures.append(error)
        tried += 1
    if failures:
        raise ExceptionGroup(f"of {tried} operations {len(failures)} answer otherwise", failures)
    assert tried >= 15


def test_every_operation_refuses_a_request_without_a_token(contract: schemathesis.schemas.BaseSchema) -> None:
    for found in contract.get_all_operations():
        assert isinstance(found, Ok)

        @settings(max_examples=2, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
        @given(case=found.ok().as_strategy(generation_mode=GenerationMode.POSITIVE))
        def refused(case: Any) -> None:  # noqa: ANN401 - the tool's own
            answer = case.call()
            assert answer.status_code == 401, answer.text
            assert json.loads(answer.text)["status"] == 401
            assert answer.headers["www-authenticate"]

        refused()


def _has_whole_float(body: object) -> bool:
    """JSON Schema counts 429.0 among the integers; here a whole number has no point."""
    if isinstance(body, dict):
        return any(map(_has_whole_float, body.values()))
    if isinstance(body, list):
        return any(map(_has_whole_float, body))
    return isinstance(body, float) and body.is_integer()


def _has_anything(operation: Any) -> bool:  # noqa: ANN401 - the tool's own, of many kinds
    """Whether a request of the operation can be wrong at all."""
    return bool(list(operation.query) or operation.body or list(operation.headers))
