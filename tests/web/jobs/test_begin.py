"""A finance person begins with an empty ledger and no terminal: with a statement, or with sample data.

A separate server answers, because a browser that is bridged to this process hides the bytes of an upload. The test
waits until the page shows the expected content.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from liushui.formats import kraken_csv
from liushui.ledger.access.sessions import create_login_code
from liushui.ledger.engine import open_ledger
from liushui.services.access import login_link
from liushui.testing.empty_ledger import create_ledger
from liushui.testing.processes import serving
from tests.web.jobs.combination import Combination, check_page, combinations_of
from tests.web.watched_page import TIMEOUT_MS, Watched

STATEMENT = Path(kraken_csv.__file__).parent / "samples/ledgers.csv"


@contextmanager
def browsing_ledger(path: Path, browser: Browser, combination: Combination) -> Iterator[Page]:
    """The page of a ledger that is served, in a browser that is logged in. At the end the last page is checked."""
    with serving(path, workers=1) as running:
        ledger = open_ledger(str(path))
        link = login_link(running.url, create_login_code(ledger))
        ledger.close()
        context = browser.new_context(base_url=running.url, **combination.options)
        context.set_default_timeout(TIMEOUT_MS)
        watched = Watched(context.new_page(), running.url, may_fail=False)
        watched.page.goto(link)
        yield watched.page
        check_page(watched.page, combination)
        problems = watched.found()
        context.close()
    assert not problems, problems


@pytest.fixture
def first_steps(tmp_path: Path, browser: Browser, combination: Combination) -> Iterator[tuple[Page, Combination]]:
    """The first steps of an empty ledger."""
    create_ledger(str(tmp_path / "ledger.db")).close()
    with browsing_ledger(tmp_path / "ledger.db", browser, combination) as page:
        page.goto("/welcome")
        yield page, combination


@pytest.mark.parametrize("combination", combinations_of(11))
def test_sample_data_is_looked_at_and_removed(first_steps: tuple[Page, Combination]) -> None:
    page, combination = first_steps
    say = combination.say
    page.get_by_role("button", name=say("Add the sample data")).click()
    mark = page.get_by_role("note", name=say("Sample data"))
    expect(mark).to_contain_text("sample-shop")
    check_page(page, combination)
    mark.get_by_role("button").click()
    page.get_by_role("dialog").get_by_role("button", name=say("Remove it"), exact=True).click()
    expect(page.get_by_role("button", name=say("Add the sample data"))).to_be_visible()
    expect(mark).to_have_count(0)


@pytest.mark.parametrize("combination", combinations_of(10))
def test_a_statement_is_imported_without_a_terminal(first_steps: tuple[Page, Combination]) -> None:
    page, combination = first_steps
    say, account = combination.say, f"exchange-{combination.width}-{combination.tag}-{combination.theme}"
    page.get_by_role("link", name=say("Import a file")).click()
    page.get_by_label(say("File"), exact=True).set_input_files(STATEMENT)
    page.get_by_label(say("Account"), exact=True).fill(account)
    page.get_by_role("button", name=say("Show what it has")).click()
    main = page.get_by_role("main")
    expect(main).to_contain_text(say("Nothing is changed yet"))
    expect(main.get_by_role("heading", name="Kraken ledgers.csv")).to_be_visible()
    check_page(page, combination)
    page.get_by_role("button", name=say("Import it into %(account)s", account=account)).click()
    expect(page.get_by_role("heading", name=say("Import into %(account)s", account=account))).to_be_visible()
    check_page(page, combination)
    main.get_by_role("link", name=say("View the flows")).click()
    expect(page.locator("#ledger .ledger-row[data-key]").first).to_contain_text(account)
