"""A client of liushui's API. It reads all pages of a list, and retries calls if that is safe.

with liushui.Client("http://127.0.0.1:8700", token) as client:
    for flow in client.flows(account=["trader-1"], since=datetime(2024, 1, 1, tzinfo=UTC)):
        print(flow.at, Decimal(flow.amount), flow.currency)
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, Final, Self, TypeVar
from urllib.parse import quote
from uuid import uuid4

import httpx2
import msgspec

from liushui.client import models
from liushui.client.errors import BY_STATUS, ApiError, NoAnswer
from liushui.errors import ConfigError
from liushui.instant import to_iso
from liushui.ratelimit import Backoff

ROOT: Final = "/api/v1"
TIMEOUT: Final = timedelta(seconds=30)
ATTEMPTS: Final = 5
BACKOFF: Final = Backoff(timedelta(milliseconds=200), timedelta(seconds=30))
"""The pauses between retries if the server asks for none."""
RETRIED: Final = frozenset({429, 502, 503, 504})

T = TypeVar("T")
P = TypeVar("P", models.FlowPage, models.FindingPage, models.LinkPage, models.QuarantinePage, models.RunPage)
Value = str | int | bool | datetime | Decimal | Enum | None
Values = Value | Sequence[Value]


class Client:
    """Calls the API of one server with one token. Use it as a context manager, or close it.

    Calls, including writes, are retried while the server is too busy. With an Idempotency-Key, a write takes effect
    only once. Raises a subclass of ApiError, and ConfigError for an address that is not a URL.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        timeout: timedelta = TIMEOUT,
        attempts: int = ATTEMPTS,
        transport: httpx2.BaseTransport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if not url.startswith(("http://", "https://")):
            raise ConfigError(f"url: expected http:// or https://, got {url!r}")
        self._attempts, self._sleep = max(1, attempts), sleep
        self._http = httpx2.Client(
            base_url=url.rstrip("/") + ROOT,
            headers={"Authorization": f"Bearer {token}"},
            timeout=timeout.total_seconds(),
            transport=transport,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    # ------------------------------------------------------------ reading

    def get(self, path: str, type_: type[T], **params: Values) -> T:
        """Read any resource by its path below /api/v1, for example one page of a list."""
        return self._get(path, type_, **params)

    def about(self) -> models.About:
        """Return the server's version, and what the token may see and do."""
        return self._get("", models.About)

    def accounts(self) -> list[models.Account]:
        """The accounts that the token may see."""
        return self._get("/accounts", models.Accounts).accounts

    def account(self, account: str) -> models.Account:
        """One account."""
        return self._get(f"/accounts/{_part(account)}", models.Account)

    def flows(self, *, limit: int = 1_000, **filters: Values) -> Iterator[models.Flow]:
        """The flows that match filters: account, since, until, kind, currency and the others of `GET /flows`."""
        for page in self._pages("/flows", models.FlowPage, limit=limit, **filters):
            yield from page.flows

    def flow(self, key: str) -> models.FlowInFull:
        """One flow, its versions, and the row as the provider sent it."""
        return self._get(f"/flows/{_part(key)}", models.FlowInFull)

    def feed(self, cursor: str | None = None, *, limit: int = 1_000, account: Sequence[str] = ()) -> models.FeedPage:
        """Return the changes since a cursor, or since the beginning without a cursor."""
        return self._get("/feed", models.FeedPage, cursor=cursor, limit=limit, account=account)

    def balances(self, **filters: Values) -> models.Balances:
        """Balances, filtered by account, at, currency."""
        return self._get("/balances", models.Balances, **filters)

    def daily_balances(self, **filters: Values) -> models.DailyBalances:
        """The balance at the end of each day, by account, first_day, last_day, currency."""
        return self._get("/daily-balances", models.DailyBalances, **filters)

    def summary(self, **filters: Values) -> models.Summary:
        """Return money in and out, by account, period, by, first_day, last_day, currency, kind."""
        return self._get("/summary", models.Summary, **filters)

    def fees(self, **filters: Values) -> models.Fees:
        """The fees of each account by currency and period, within rows and as flows of their own."""
        return self._get("/fees", models.Fees, **filters)

    def coverage(self, *, account: Sequence[str] = ()) -> list[models.CoveredRange]:
        """Return the ranges of each account: whether each is complete, and if not, why."""
        return self._get("/coverage", models.Coverage, account=account).ranges

    def heads(self, *, account: Sequence[str] = ()) -> list[models.Head]:
        """Return the end of each account's chain. A copy that is kept elsewhere reveals whether the ledger was cut off
        or replaced."""
        return self._get("/heads", models.Heads, account=account).heads

    def findings(self, *, account: Sequence[str] = ()) -> list[models.FindingCount]:
        """Return the number of flows to review for each day, and the reasons. `each_finding` has the flows."""
        return self._get("/findings", models.Findings, account=account).findings

    def each_finding(
        self, *, account: Sequence[str] = (), kind: Sequence[str] = (), state: Sequence[str] = (), limit: int = 100
    ) -> Iterator[models.Finding]:
        """Yield the flows to review, each with its state. Without `state`, yield the open ones."""
        pages = self._pages("/findings/list", models.FindingPage, account=account, kind=kind, state=state, limit=limit)
        for page in pages:
            yield from page.findings

    def finding(self, finding: str) -> models.FindingInFull:
        """Return a finding, the flows that it is about, and the decisions on it."""
        return self._get(f"/findings/{_part(finding)}", models.FindingInFull)

    def breaks(self, *, account: Sequence[str] = ()) -> models.Breaks:
        """Yield the breaks: places where a stated balance does not follow from the balance before it."""
        return self._get("/breaks", models.Breaks, account=account)

    def quarantine(
        self, *, account: Sequence[str] = (), resolved: bool = False, limit: int = 100
    ) -> Iterator[models.QuarantinedRow]:
        """Yield the rejected rows: rows that could not be read."""
        for page in self._pages("/quarantine", models.QuarantinePage, account=account, resolved=resolved, limit=limit):
            yield from page.rows

    def links(
        self,
        *,
        account: Sequence[str] = (),
        kind: Sequence[models.LinkKind] = (),
        state: Sequence[models.LinkState] = (),
        limit: int = 100,
        **range_: Values,
    ) -> Iterator[models.Link]:
        """Links between flows, by time; also filtered by since and until."""
        pages = self._pages("/links", models.LinkPage, account=account, kind=kind, state=state, limit=limit, **range_)
        for page in pages:
            yield from page.links

    def link(self, link: str) -> models.LinkInFull:
        """Return a link, the other links of its flows, and the decisions on it."""
        return self._get(f"/links/{_part(link)}", models.LinkInFull)

    def stated_balances(self, *, account: Sequence[str] = (), withdrawn: bool = False) -> list[models.StatedBalance]:
        """Balances that people stated, each compared with the flows at its moment."""
        return self._get("/stated-balances", models.StatedBalances, account=account, withdrawn=withdrawn).balances

    def reconciliation(self, period: str | None = None, *, account: Sequence[str] = ()) -> list[models.ReconciledMonth]:
        """Return the proof of cash of a month such as 2026-10, or of days such as 2026-10-05..2026-10-20, by account.

        Without a period, the last month that has ended counts.
        """
        return self._get("/reconciliation", models.Reconciliation, period=period, account=account).months

    def months(
        self, first: str | None = None, last: str | None = None, *, account: Sequence[str] = ()
    ) -> list[models.MonthCheck]:
        """Return the verdict on each month, whether it is closed, and how many of its flows have changed since."""
        path = "/reconciliation/months"
        return self._get(path, models.MonthChecks, first=first, last=last, account=account).months

    def closed_months(self, *, account: Sequence[str] = ()) -> list[models.PeriodDecision]:
        """Return who closed months or reopened them, and why."""
        return self._get("/closed-months", models.PeriodDecisions, account=account).decisions

    def changes_after_close(self, *, account: Sequence[str] = ()) -> list[models.ChangeAfterClose]:
        """The flows of closed months that have changed since the close."""
        return self._get("/closed-months/changes", models.ChangesAfterClose, account=account).changes

    def export(self, form: str, *, account_map: str | None = None, **selection: Values) -> bytes:
        """Return a file with flows in a format of `liushui export`, selected by account, period, since, until, as_of.

        `account_map` is the TOML text of the account map, which journals need.
        """
        path = f"/export/{_part(form)}"
        if account_map is None:
            return self._call("GET", path, params=selection).content
        body = msgspec.json.encode(models.AccountMapText(map=account_map))
        return self._call("POST", path, params=selection, body=body).content

    # ------------------------------------------------------------ recording

    def state_balance(self, balance: models.StateBalance) -> models.StatedBalance:
        """State an account's balance at a moment. Stating the same balance again is allowed."""
        return self._post("/stated-balances", balance, models.StatedBalance)

    def withdraw_balance(self, balance: str, reason: str) -> models.StatedBalance:
        """Withdraw a stated balance that is wrong. It stays in the ledger, with the reason."""
        path = f"/stated-balances/{_part(balance)}/withdraw"
        return self._post(path, models.WithdrawBalance(reason=reason), models.StatedBalance, repeat=False)

    def decide_link(self, link: str, decision: models.DecideLink) -> models.LinkInFull:
        """Confirm or reject a link."""
        return self._post(f"/links/{_part(link)}/decision", decision, models.LinkInFull, repeat=False)

    def explain_finding(self, finding: str, reason: str) -> models.FindingInFull:
        """Explain a finding, so that it no longer needs attention. The reason stays in the ledger."""
        path = f"/findings/{_part(finding)}/explain"
        return self._post(path, models.DecideFinding(reason=reason), models.FindingInFull, repeat=False)

    def withdraw_explanation(self, finding: str, reason: str) -> models.FindingInFull:
        """Withdraw the explanation of a finding. The finding is then open again."""
        path = f"/findings/{_part(finding)}/withdraw"
        return self._post(path, models.DecideFinding(reason=reason), models.FindingInFull, repeat=False)

    def create_account(self, account: str, zone: str = "UTC") -> models.Account:
        """Create an account of your own. If it exists already with the same zone, it is returned unchanged."""
        return self._post("/accounts", models.MakeAccount(account=account, zone=zone), models.Account)

    def record(
        self, flows: models.RecordFlow | Iterable[models.RecordFlow], *, restate: bool = False, key: str | None = None
    ) -> models.Recorded:
        """Record flows of your own accounts, all of them or none. A `key` makes the call repeatable after a crash."""
        body: Any = flows if isinstance(flows, models.RecordFlow) else list(flows)
        headers = {"Idempotency-Key": key or uuid4().hex}
        return self._post("/flows", body, models.Recorded, headers=headers, restate=restate)

    # ------------------------------------------------------------ managing

    def close_month(self, month: models.CloseMonth) -> list[models.PeriodDecision]:
        """Close a month whose lines all pass or are explained. Raises Conflict, which names the other lines."""
        return self._post("/closed-months", month, models.PeriodDecisions, repeat=False).decisions

    def reopen_month(self, month: models.ReopenMonth) -> list[models.PeriodDecision]:
        """Reopen a closed month."""
        return self._post("/closed-months/reopen", month, models.PeriodDecisions, repeat=False).decisions

    def rename_account(self, account: str, name: str) -> models.RenamedAccount:
        """Give an account another name, under which it is found from now on."""
        path = f"/accounts/{_part(account)}/rename"
        return self._post(path, models.RenameAccount(name=name), models.RenamedAccount, repeat=False)

    def sources(self) -> list[models.Source]:
        """The sources that accounts are synced from."""
        return self._get("/sources", models.Sources).sources

    def sync(self, account: str, *, everything: bool = False) -> models.SyncAsked:
        """Request a sync now."""
        path = f"/sources/{_part(account)}/sync"
        return self._post(path, models.AskSync(everything=everything), models.SyncAsked)

    def sync_request(self, request: models.SyncAsked) -> models.SyncAsked:
        """The status of a request to sync."""
        return self._get(f"/sources/{_part(request.account)}/sync/{_part(request.id)}", models.SyncAsked)

    def pause(self, account: str, *, paused: bool = True) -> models.Source:
        """Pause a source, or resume it."""
        body = msgspec.json.encode(models.ChangeSource(paused=paused))
        answer = self._call("PATCH", f"/sources/{_part(account)}", body=body)
        return _read(answer, models.Source)

    def runs(self, account: str, *, limit: int = 100) -> Iterator[models.Run]:
        """The finished syncs of an account, newest first."""
        for page in self._pages("/runs", models.RunPage, account=account, limit=limit):
            yield from page.runs

    def keys(self) -> list[models.Key]:
        """Keys of the providers' APIs."""
        return self._get("/keys", models.Keys).keys

    def create_key(self, key: models.MakeKey) -> models.MadeKey:
        """Create a key. Its credentials are returned only this once."""
        return self._post("/keys", key, models.MadeKey, repeat=False)

    def revoke_key(self, key: str) -> None:
        """Revoke a key at once."""
        self._call("DELETE", f"/keys/{_part(key)}")

    def tokens(self) -> list[models.Token]:
        """Tokens of this API."""
        return self._get("/tokens", models.Tokens).tokens

    def create_token(self, token: models.MakeToken) -> models.MadeToken:
        """Create a token. It is returned only this once."""
        return self._post("/tokens", token, models.MadeToken, repeat=False)

    def revoke_token(self, token_id: str) -> None:
        """Revoke a token at once."""
        self._call("DELETE", f"/tokens/{_part(token_id)}")

    def notification_rules(self) -> list[models.NotificationRule]:
        """Return the notification rules: who is notified about which alarms."""
        return self._get("/notification-rules", models.NotificationRules).rules

    def add_notification_rule(self, rule: models.AddNotificationRule) -> models.AddedNotificationRule:
        """Add a rule. A new secret of a webhook is returned only this once."""
        return self._post("/notification-rules", rule, models.AddedNotificationRule, repeat=False)

    def test_notification_rule(self, name: str) -> models.NotificationTest:
        """Send a test message by a rule."""
        answer = self._call("POST", f"/notification-rules/{_part(name)}/test")
        return _read(answer, models.NotificationTest)

    def remove_notification_rule(self, name: str) -> None:
        """Remove a rule, and its messages that were not sent."""
        self._call("DELETE", f"/notification-rules/{_part(name)}")

    def views(self) -> list[models.SavedView]:
        """Return the saved views: the caller's own, and the shared ones about accounts that the caller may see."""
        return self._get("/views", models.SavedViews).views

    def view(self, name: str) -> models.SavedView:
        """One saved view."""
        return self._get(f"/views/{_part(name)}", models.SavedView)

    def save_view(self, name: str, view: models.SaveView) -> models.SavedView:
        """Save a view under a name, or overwrite the one of that name."""
        body = msgspec.json.encode(view)
        return _read(self._call("PUT", f"/views/{_part(name)}", body=body), models.SavedView)

    def remove_view(self, name: str) -> None:
        """Remove a view."""
        self._call("DELETE", f"/views/{_part(name)}")

    # The names of version 0.1. They stay for one release.
    make_account, synced = create_account, sync_request
    make_key, end_key, make_token, end_token = create_key, revoke_key, create_token, revoke_token

    # ------------------------------------------------------------ calls

    def _get(self, path: str, type_: type[T], **params: Values) -> T:
        return _read(self._call("GET", path, params=params), type_)

    def _pages(self, path: str, type_: type[P], **params: Values) -> Iterator[P]:
        cursor: str | None = None
        while True:
            page = self._get(path, type_, cursor=cursor, **params)
            yield page
            cursor = page.next
            if cursor is None:
                return

    def _post(
        self,
        path: str,
        body: object,
        type_: type[T],
        *,
        headers: Mapping[str, str] | None = None,
        repeat: bool = True,
        **params: Values,
    ) -> T:
        encoded = msgspec.json.encode(body)
        return _read(self._call("POST", path, params=params, body=encoded, headers=headers, repeat=repeat), type_)

    def _call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Values] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        repeat: bool = True,
    ) -> httpx2.Response:
        """Make a call, and retry it. `repeat` says whether a retry is safe after the answer was lost."""
        query: list[tuple[str, str | int | float | bool | None]] = [
            (name, _text(value)) for name, values in (params or {}).items() for value in _each(values)
        ]
        sent = {"Content-Type": "application/json"} if body is not None else {}
        for attempt in range(1, self._attempts + 1):
            is_last = attempt == self._attempts
            wait = BACKOFF.wait(attempt)
            try:
                answer = self._http.request(
                    method, path, params=query, content=body, headers={**sent, **(headers or {})}
                )
            except httpx2.HTTPError as error:
                if is_last or not repeat:
                    raise NoAnswer(0, f"no answer: {type(error).__name__} {error}".strip()) from error
            else:
                if answer.status_code not in RETRIED or is_last:
                    if answer.is_success:
                        return answer
                    raise _error(answer)
                wait = _retry_after(answer) or wait
            self._sleep(wait.total_seconds())
        raise AssertionError("the last attempt returns or raises")


def _read(answer: httpx2.Response, type_: type[T]) -> T:
    try:
        return msgspec.json.Decoder(type_, float_hook=Decimal).decode(answer.content)
    except msgspec.MsgspecError as error:
        raise NoAnswer(answer.status_code, f"the answer is not one of this API: {error}") from error


def _error(answer: httpx2.Response) -> ApiError:
    try:
        problem = msgspec.json.decode(answer.content, type=models.Problem)
    except msgspec.MsgspecError:
        return NoAnswer(answer.status_code, "the answer is not one of this API")
    class_ = BY_STATUS.get(answer.status_code, NoAnswer)
    return class_(answer.status_code, problem.detail or problem.title, problem.errors)


def _retry_after(answer: httpx2.Response) -> timedelta | None:
    text = answer.headers.get("retry-after", "")
    return timedelta(seconds=int(text)) if text.isascii() and text.isdecimal() and len(text) < 6 else None


def _each(values: Values) -> Sequence[Value]:
    if values is None:
        return ()
    return (values,) if isinstance(values, (str, int, datetime, Decimal, Enum)) else values


def _text(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ConfigError(f"expected a time with its zone, got {value.isoformat()}")
        return to_iso(value)
    if isinstance(value, Enum):
        return str(value.value)
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def _part(text: str) -> str:
    return quote(text, safe="")
