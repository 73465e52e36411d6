"""The page of flows to review: every flow of each finding, its state, and people's explanations."""

from collections.abc import Sequence
from typing import Final, NamedTuple
from urllib.parse import urlencode

from litestar import get, post
from litestar.response import Response

from liushui.errors import ConfigError
from liushui.ledger.access.tokens import Scope
from liushui.ledger.engine import Ledger
from liushui.ledger.findings import KINDS, SAME_ID
from liushui.ledger.read.cursors import CursorError, bound_to_names, read_cursor, sign_cursor
from liushui.ledger.read.finding_decisions import FindingAction, FindingState
from liushui.ledger.read.finding_lists import Finding, FindingPage, FindingPosition, findings_page
from liushui.ledger.read.flows import LedgerFlow, key_of
from liushui.ledger.write.finding_decisions import explain_findings, withdraw_explanations
from liushui.server.web.account_addresses import account_address, row_address
from liushui.server.web.check_labels import break_text
from liushui.server.web.forms import Form
from liushui.server.web.guard import NEEDS
from liushui.server.web.page import CurrentPage, Page, redirect

SHOWN_MAX: Final = 50
"""The most findings on one page."""
LOOKS: Final = {FindingState.OPEN: "warn", FindingState.EXPLAINED: "good", FindingState.GONE: ""}
"""How the tag of a state looks."""


class FindingView(NamedTuple):
    """A finding as it is shown. `others`: the other flows of the finding, each with its relation to the first."""

    finding: Finding
    kind: str
    text: str
    state: str
    look: str
    others: Sequence[tuple[str, LedgerFlow]]
    decision: str


def finding_view(page: Page, finding: Finding) -> FindingView:
    """A finding in the reader's words."""
    say, located = page.say, finding.located
    text = break_text(located, page.language) if located is not None else kind_texts(page)[finding.kind]
    if located is None:
        role = say("The first flow of this ID:") if finding.kind == SAME_ID else say("Beside it:")
        others = [(role, flow) for flow in finding.others]
    else:
        suspects = {key_of(flow) for flow in located.rows}
        others = [
            (say("It may be this flow:") if key_of(flow) in suspects else say("Beside it:"), flow)
            for flow in finding.others
        ]
    decision = "" if finding.decision is None else action_names(page)[finding.decision.decision]
    names = kind_names(page)
    return FindingView(
        finding, names[finding.kind], text, state_names(page)[finding.state], LOOKS[finding.state], others, decision
    )


def kind_names(page: Page) -> dict[str, str]:
    """The name of each kind of finding."""
    say = page.say
    return dict(
        zip(
            KINDS,
            (say("Direction contradicts the sign"), say("Same ID, different content"), say("Balance breaks")),
            strict=True,
        )
    )


def kind_texts(page: Page) -> dict[str, str]:
    """The meaning of each kind of finding, in a sentence."""
    say = page.say
    sentences = (
        say("The direction that the provider states contradicts the sign of the amount."),
        say("An earlier flow at the same time has the same ID and other content."),
        say("The balance that this flow states does not follow from the one before it."),
    )
    return dict(zip(KINDS, sentences, strict=True))


def state_names(page: Page) -> dict[FindingState, str]:
    """The name of each state."""
    say = page.say
    return {
        FindingState.OPEN: say("Open"),
        FindingState.EXPLAINED: say("Explained"),
        FindingState.GONE: say("Gone"),
    }


def action_names(page: Page) -> dict[FindingAction, str]:
    """The name of each decision."""
    say = page.say
    return {FindingAction.EXPLAINED: say("Explained"), FindingAction.WITHDRAWN: say("Explanation withdrawn")}


# ---------------------------------------------------------------- the page


class ReviewQuery(NamedTuple):
    """The filter in the page's address. An empty account or kind means all.

    `after`: the cursor of the page. Empty: the first page.
    """

    account: str
    kind: str
    state: FindingState
    after: str = ""

    def address(self, **changes: str) -> str:
        """The address of the page with some values changed."""
        fields = {"account": self.account, "finding": self.kind, "state": self.state.value} | changes
        return f"/review?{urlencode({name: value for name, value in fields.items() if value})}"

    def cursor_query(self, ledger: Ledger) -> str:
        """The query to which the cursors of its pages are bound."""
        return bound_to_names(ledger, f"review {self.account} {self.kind} {self.state.value}")


@get("/review", sync_to_thread=True)
def show_review(page: CurrentPage) -> Response[str]:
    """Show the flows to review of one account or of all, and of one kind or of all."""
    return _render(page)


@post("/review", sync_to_thread=True, opt={NEEDS: Scope.RECORD})
def decide_findings(page: CurrentPage) -> Response[str]:
    """Explain the selected findings, or withdraw their explanations: all or none of them."""
    form = Form(page)
    if decide(form, page.fields.get("chosen", [])):
        query = _read_query(page)
        return redirect(query.address(after=query.after))
    return _render(page, form)


def decide(form: Form, ids: Sequence[str]) -> bool:
    """Carry out the decision in a form. False: nothing was changed, and the form's errors say why."""
    page = form.page
    by, reason = page.user or form.text("by"), form.text("reason")
    if not ids:
        form.wrong("chosen", page.say("Choose at least one."))
    if form.is_wrong or by is None or reason is None:
        return False
    act = withdraw_explanations if form.typed("decision") == FindingAction.WITHDRAWN else explain_findings
    try:
        act(page.read_model, ids, by=by, reason=reason)
    except ConfigError as error:
        form.wrong("chosen", str(error).removeprefix("finding: "))
    return not form.is_wrong


def _read_query(page: Page) -> ReviewQuery:
    """Return the query in the address. Invalid values are ignored, because the page shows the values that it uses."""
    values = {name: page.query.get(name, [""])[-1] for name in ("account", "finding", "state")}
    kind = values["finding"] if values["finding"] in KINDS else ""
    state = FindingState(values["state"]) if values["state"] in set(FindingState) else FindingState.OPEN
    return ReviewQuery(values["account"], kind, state, page.query.get("after", [""])[-1])


def _position(page: Page, query: ReviewQuery) -> FindingPosition | None:
    """Return the position after which the page begins. A cursor of another list, or an old one, means the first
    page."""
    if not query.after:
        return None
    try:
        return read_cursor(page.ledger, query.cursor_query(page.ledger), query.after, FindingPosition)
    except CursorError:
        return None


def _render(page: Page, form: Form | None = None) -> Response[str]:
    query, model = _read_query(page), page.read_model
    with model.reading() as reading:
        names = sorted(reading.accounts)
        zone = page.view_zone(*(account.name.zone for account in reading.accounts.values()))
    is_known = not query.account or query.account in names
    chosen = (query.account,) if query.account else ()
    kinds = (query.kind,) if query.kind else KINDS
    shown = FindingPage([], None)
    if is_known and names:
        shown = findings_page(
            model, chosen or names, kinds=kinds, states=(query.state,), limit=SHOWN_MAX, after=_position(page, query)
        )
    cursor = None if shown.next is None else sign_cursor(page.ledger, query.cursor_query(page.ledger), shown.next)
    is_wrong = form is not None and form.is_wrong
    return page.render(
        "review/index.html",
        status=404 if not is_known else 422 if is_wrong else 200,
        query=query,
        is_known=is_known,
        accounts=[("", page.say("All accounts")), *((name, name) for name in names)],
        kinds=[("", page.say("Any")), *kind_names(page).items()],
        states=state_names(page),
        views=[finding_view(page, finding) for finding in shown.findings],
        here=query.address(after=query.after),
        next_page=None if cursor is None else query.address(after=cursor),
        zone=zone,
        row_address=row_address,
        account_address=account_address,
        may_decide=page.may(Scope.RECORD) and query.state is not FindingState.GONE,
        is_withdrawal=query.state is FindingState.EXPLAINED,
        chosen=[] if form is None else page.fields.get("chosen", []),
        values={} if form is None else page.form,
        errors={} if form is None else form.errors,
    )
