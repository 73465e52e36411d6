"""Rules for notifications on the page and over the API: who may add which, and what ends them."""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from liushui.ledger.access.tokens import Scope, create_token, revoke_token
from liushui.ledger.access.users import Role, add_user, remove_user
from liushui.ledger.engine import Ledger
from liushui.ledger.jobs.notifications import (
    Channel,
    EventKind,
    Message,
    Rule,
    active_rules,
    list_notifications,
    list_rules,
    record_alarms,
)
from liushui.ledger.read.status import Alarm, AlarmKind, Severity
from liushui.notify.channels import DeliveryError
from liushui.testing.clock import MovableClock
from tests.api.callers import Api, Caller, open_api
from tests.web.visitor import Visitor

PASSWORD = "correct horse battery"
STALE = Alarm(Severity.BAD, AlarmKind.STALE, "a")
BACKUP = Alarm(Severity.BAD, AlarmKind.BACKUP_FAILED, "", detail="/backup: no space")
FORM: dict[str, Any] = {
    "name": "ops",
    "channel": "webhook",
    "webhook": "https://hooks.example/secret-path",
    "kinds": ["stale", "gap", "backup_failed"],
    "gap_after": "12",
    "all": "yes",
}


class SenderDouble:
    """Stores test messages, or refuses them."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Message]] = []
        self.error = ""

    def send(self, _id: str, message: Message, _now: object) -> None:
        if self.error:
            raise DeliveryError(self.error)
        self.sent.append((_id, message))


@pytest.fixture
def sender(monkeypatch: pytest.MonkeyPatch) -> SenderDouble:
    """What sends every rule's messages."""
    double = SenderDouble()
    monkeypatch.setattr("liushui.notify.channels.sender_of", lambda _rule: double)
    return double


@pytest.fixture
def api(ledger: Ledger) -> Iterator[Api]:
    with open_api(ledger) as api:
        yield api


def logged_in(visitor: Visitor, role: Role, *accounts: str) -> Visitor:
    """The visitor, logged in as the new user wang."""
    add_user(visitor.ledger, "wang", role, accounts or None, password=PASSWORD)
    assert visitor.post("/login", {"user": "wang", "secret": PASSWORD}, token=False).status_code == 303
    return visitor


# ---------------------------------------------------------------- the page


def test_a_rule_is_added_tested_and_removed(guest: Visitor, sender: SenderDouble) -> None:
    assert "Add a rule" in guest.get("/notifications").text
    added = guest.post("/notifications", FORM)
    assert (added.status_code, "whsec_" in added.text) == (200, True), "the new secret is shown once"
    (rule,) = list_rules(guest.ledger)
    assert (rule.channel, rule.target, rule.gap_hours) == (Channel.WEBHOOK, "https://hooks.example/…", 12)
    assert rule.kinds == {AlarmKind.STALE, AlarmKind.GAP, AlarmKind.BACKUP_FAILED}
    shown = guest.get("/notifications").text
    assert "https://hooks.example/…" in shown
    assert "secret-path" not in shown
    assert rule.settings["secret"] not in shown
    assert "was accepted" in guest.post("/notifications/test", {"rule": "ops"}).text
    assert [message.kind for _, message in sender.sent] == ["test"]
    sender.error = "HTTP 500"
    refused = guest.post("/notifications/test", {"rule": "ops"}).text
    assert "was not accepted" in refused and "HTTP 500" in refused
    assert guest.post("/notifications/remove", {"rule": "ops"}).status_code == 303
    assert list_rules(guest.ledger) == []
    for path in ("test", "remove"):
        assert guest.post(f"/notifications/{path}", {"rule": "ops"}).status_code == 303


def test_each_channel_has_its_fields(guest: Visitor) -> None:
    ntfy = {**FORM, "name": "phone", "channel": "ntfy", "ntfy": "https://ntfy.sh/topic", "secret": "tk_1"}
    mail = {
        "channel": "email",
        "email": "a@b.example, c@d.example",
        "from": "e@f.example",
        "smtp": "smtps://mx.example",
    }
    assert guest.post("/notifications", ntfy).status_code == 303
    assert guest.post("/notifications", {**FORM, **mail, "name": "mail", "secret": "p"}).status_code == 303
    by_name = {rule.name: rule for rule in list_rules(guest.ledger)}
    assert by_name["phone"].settings == {"url": "https://ntfy.sh/topic", "token": "tk_1"}
    assert by_name["mail"].settings["to"] == "a@b.example,c@d.example"
    assert by_name["mail"].settings["password"] == "p"


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"name": ""}, "Fill this in."),
        ({"name": "a b"}, "name: expected 1 to 64 letters"),
        ({"webhook": ""}, "channel: expected exactly one of webhook, ntfy and email"),
        ({"webhook": "ftp://x"}, "webhook: expected https://HOST"),
        ({"channel": "pigeon"}, "Choose one of"),
        ({"channel": "ntfy", "ntfy": "https://ntfy.sh/"}, "ntfy: expected the URL of a topic"),
        ({"channel": "email", "email": "a@b.example"}, "email: expected together with"),
        ({"kinds": []}, "Choose at least one."),
        ({"all": "", "accounts": ["nothing"]}, "Choose from the list"),
        ({"gap_after": "soon"}, "Expected a number of hours"),
    ],
)
def test_a_wrong_field_is_named_and_nothing_is_added(guest: Visitor, change: dict[str, Any], error: str) -> None:
    answer = guest.post("/notifications", FORM | change)
    assert (answer.status_code, error in answer.text) == (422, True), answer.text
    assert list_rules(guest.ledger) == []


def test_a_name_is_given_once(guest: Visitor) -> None:
    guest.post("/notifications", FORM)
    again = guest.post("/notifications", FORM)
    assert (again.status_code, "A rule with this name already exists." in again.text) == (422, True)


def test_a_rule_tells_no_more_than_its_maker_may_read_and_ends_with_them(visitor: Visitor) -> None:
    user = logged_in(visitor, Role.OPERATOR, "a")
    assert user.post("/notifications", FORM).status_code == 422, "of all accounts"
    assert user.post("/notifications", FORM | {"all": "", "accounts": ["b"]}).status_code == 422
    of_a = FORM | {"all": "", "accounts": ["a"]}
    private = user.post("/notifications", of_a | {"allow_private": "yes"})
    assert (private.status_code, "only an owner may allow addresses" in private.text) == (422, True)
    assert user.post("/notifications", of_a).status_code == 200
    assert record_alarms(visitor.ledger, active_rules(visitor.ledger), [STALE, BACKUP]) == 1
    assert [one.message.kind for one in list_notifications(visitor.ledger)] == ["stale"], "backups are the owner's"
    assert remove_user(visitor.ledger, "wang") == (0, 0, 1)
    assert (list_rules(visitor.ledger), list_notifications(visitor.ledger)) == ([], [])


def test_a_user_sees_no_rule_of_other_accounts(visitor: Visitor, guest: Visitor, sender: SenderDouble) -> None:
    guest.post("/notifications", FORM)
    guest.post("/logout")
    user = logged_in(visitor, Role.OPERATOR, "a")
    assert "hooks.example" not in user.get("/notifications").text
    user.post("/notifications/test", {"rule": "ops"})
    user.post("/notifications/remove", {"rule": "ops"})
    assert sender.sent == []
    assert [rule.name for rule in list_rules(visitor.ledger)] == ["ops"]


# ---------------------------------------------------------------- the API


def body(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - fields of several types
    return {"name": "ops", "webhook": "https://hooks.example/secret-path", "kinds": ["stale"], **changes}


def test_the_api_lists_adds_tests_and_removes_rules(api: Api, sender: SenderDouble) -> None:
    caller = api.caller()
    added = caller.ask("POST", "/notification-rules", json=body())
    assert added.status_code == 201, added.text
    assert added.json()["secret"].startswith("whsec_")
    assert caller.ask("POST", "/notification-rules", json=body()).status_code == 409
    (rule,) = caller.get("/notification-rules")["rules"]
    assert (rule["name"], rule["target"], rule["kinds"], rule["pending"]) == (
        *("ops", "https://hooks.example/…", ["stale"], 0),
    )
    assert "secret-path" not in str(rule)
    tested = caller.ask("POST", "/notification-rules/ops/test").json()
    assert (tested["accepted"], tested["error"], len(sender.sent)) == (True, None, 1)
    sender.error = "HTTP 410"
    assert caller.ask("POST", "/notification-rules/ops/test").json()["error"] == "HTTP 410"
    assert caller.ask("DELETE", "/notification-rules/ops").status_code == 204
    assert caller.ask("DELETE", "/notification-rules/ops").status_code == 404
    assert caller.ask("POST", "/notification-rules/ops/test").status_code == 404


def test_a_rule_about_decisions_on_links_in_the_api_and_on_the_page(api: Api, guest: Visitor) -> None:
    caller = api.caller()
    assert caller.ask("POST", "/notification-rules", json=body(kinds=["link_decided"])).status_code == 201
    (rule,) = caller.get("/notification-rules")["rules"]
    assert rule["kinds"] == ["link_decided"]
    assert "Link confirmed or rejected" in guest.get("/notifications").text
    assert guest.post("/notifications", {**FORM, "name": "page", "kinds": ["link_decided"]}).status_code == 200
    assert {one.name: one.kinds for one in list_rules(guest.ledger)} == {
        name: {EventKind.LINK_DECIDED} for name in ("ops", "page")
    }
    form = guest.get("/notifications/new").text
    (box,) = re.findall(r'<input[^>]*value="link_decided"[^>]*>', form)
    assert "checked" not in box, "off unless it is asked for"


def test_what_the_api_refuses(api: Api) -> None:
    of_a = api.caller("a", scopes=[Scope.READ, Scope.MANAGE])

    def status(caller: Caller, **changes: object) -> int:
        return int(caller.ask("POST", "/notification-rules", json=body(**changes)).status_code)

    assert status(api.caller(scopes=[Scope.READ])) == 403
    assert status(api.caller(scopes=[Scope.MANAGE])) == 403, "who may not read is told nothing"
    assert status(of_a) == 403, "all accounts"
    assert status(of_a, accounts=["b"]) == status(of_a, accounts=["nothing"]) == 404
    assert status(of_a, accounts=["a"], allow_private=True) == 403
    assert status(of_a, accounts=["a"], webhook=None) == 422
    assert status(of_a, accounts=["a"], kinds=["nothing"]) == 400
    assert status(of_a, accounts=["a"]) == 201
    assert of_a.get("/notification-rules")["rules"][0]["accounts"] == ["a"]
    assert api.caller("b", scopes=[Scope.MANAGE]).get("/notification-rules") == {"rules": []}


def test_a_rule_ends_with_the_token_that_created_it(api: Api, ledger: Ledger) -> None:
    assert isinstance(ledger.clock, MovableClock)
    made = create_token(
        ledger, names=None, scopes=[Scope.READ, Scope.MANAGE], expires_at=ledger.clock() + timedelta(hours=1)
    )
    caller = api.stranger(made.text)
    assert caller.ask("POST", "/notification-rules", json=body()).status_code == 201

    def names(rules: list[Rule]) -> list[str]:
        return [rule.name for rule in rules]

    assert names(active_rules(ledger)) == ["ops"]
    ledger.clock.move(timedelta(hours=1))
    assert (names(active_rules(ledger)), names(list_rules(ledger))) == ([], ["ops"]), "it has expired"
    assert revoke_token(ledger, made.token.id) == (0, 0, 1)
    assert list_rules(ledger) == []
