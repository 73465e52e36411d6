"""Saved views on every engine: who sees, changes and removes them, and how they end with their owner."""

import pytest

from liushui.errors import AccountNotFound, AlreadyExists, ConfigError, InvalidField, NotFound, PermissionDenied
from liushui.ledger.access import saved_views
from liushui.ledger.access.saved_views import SavedView, ViewQuery
from liushui.ledger.access.tokens import Scope, create_token, find_token, revoke_token
from liushui.ledger.access.users import Role, add_user, change_role, find_user_of, remove_user
from liushui.ledger.engine import Ledger
from liushui.ledger.read.filters import FilterError
from liushui.ledger.write.record import make_own_account
from liushui.services import views
from liushui.services.access import Principal, bearer, owner, user_principal

FEES = ViewQuery({"kind": "fee"}, ("a",), ("time", "amount"), "oldest", "UTC")
OWNER = owner("tests")


def user(ledger: Ledger, name: str, role: Role, *accounts: str) -> Principal:
    """A new user, as who a request is made."""
    added = add_user(ledger, name, role, accounts or None, password="correct horse battery")
    found = find_user_of(ledger, added.token)
    assert found is not None
    return user_principal(*found)


def save(ledger: Ledger, who: Principal, name: str, query: ViewQuery = FEES, *, is_shared: bool = False) -> SavedView:
    return views.save_view(ledger, who, name, query, is_shared=is_shared)[0]


def names(ledger: Ledger, who: Principal) -> list[str]:
    return [view.name for view in views.visible_views(ledger, who).views]


def test_a_view_is_stored_as_it_was_saved_and_overwritten(ledger: Ledger) -> None:
    view, is_new = views.save_view(ledger, OWNER, "费用", FEES, is_shared=False)
    assert is_new
    assert views.find_view(ledger, OWNER, "费用") == view
    assert view.query == FEES
    mixed = ViewQuery(columns=("amount", "time", "amount"))
    with pytest.raises(AlreadyExists):
        views.save_view(ledger, OWNER, "费用", mixed, is_shared=False, overwrite=False)
    view, is_new = views.save_view(ledger, OWNER, "费用", mixed, is_shared=True)
    assert not is_new
    assert (view.is_shared, view.query.columns) == (True, ("time", "amount"))
    assert views.visible_views(ledger, OWNER).views == [view]


def test_private_views_are_seen_by_their_owner_alone(ledger: Ledger) -> None:
    viewer, other = user(ledger, "li", Role.VIEWER), user(ledger, "wang", Role.ACCOUNTANT)
    save(ledger, viewer, "mine")
    save(ledger, OWNER, "theirs")
    assert names(ledger, viewer) == ["mine"]
    assert names(ledger, other) == []
    assert names(ledger, OWNER) == ["theirs"]
    for action in (
        lambda: views.find_view(ledger, other, "mine"),
        lambda: views.remove_view(ledger, other, "mine"),
        lambda: views.change_view(ledger, OWNER, "mine", "taken"),
        lambda: views.set_default(ledger, other, "mine"),
    ):
        with pytest.raises(NotFound):
            action()
    assert save(ledger, other, "mine", ViewQuery()).owner == "user wang"
    assert views.find_view(ledger, viewer, "mine").query == FEES


def test_only_who_may_do_more_than_read_shares(ledger: Ledger) -> None:
    viewer, accountant = user(ledger, "li", Role.VIEWER), user(ledger, "wang", Role.ACCOUNTANT)
    with pytest.raises(PermissionDenied):
        save(ledger, viewer, "fees", is_shared=True)
    save(ledger, viewer, "own")
    with pytest.raises(PermissionDenied):
        views.change_view(ledger, viewer, "own", is_shared=True)
    save(ledger, accountant, "fees", is_shared=True)
    assert names(ledger, viewer) == ["fees", "own"]
    for action in (
        lambda: views.remove_view(ledger, viewer, "fees"),
        lambda: views.change_view(ledger, viewer, "fees", "other"),
        lambda: save(ledger, viewer, "fees", ViewQuery()),
    ):
        with pytest.raises(PermissionDenied):
            action()
    another = user(ledger, "zhao", Role.OPERATOR)
    save(ledger, another, "charges", is_shared=True)
    with pytest.raises(AlreadyExists, match="shared view named 'fees'"):
        views.change_view(ledger, another, "charges", "fees")
    assert views.change_view(ledger, OWNER, "fees", "all fees").owner == "user wang"
    views.remove_view(ledger, OWNER, "all fees")
    assert names(ledger, viewer) == ["charges", "own"]


def test_a_view_that_names_an_account_is_hidden_from_who_may_not_see_it(ledger: Ledger) -> None:
    make_own_account(ledger, "hidden", "UTC")
    reader = user(ledger, "li", Role.ACCOUNTANT, "a")
    save(ledger, OWNER, "of a", is_shared=True)
    save(ledger, OWNER, "secret", ViewQuery(accounts=("a", "hidden")), is_shared=True)
    assert names(ledger, reader) == ["of a"]
    with pytest.raises(AccountNotFound):
        save(ledger, reader, "mine", ViewQuery(accounts=("hidden",)))


def test_a_default_follows_a_new_name_and_ends_with_the_view_or_its_sharing(ledger: Ledger) -> None:
    reader = user(ledger, "li", Role.VIEWER)
    save(ledger, OWNER, "fees", is_shared=True)
    views.set_default(ledger, reader, "fees")
    views.set_default(ledger, OWNER, "fees")

    def default(who: Principal) -> str | None:
        view = views.visible_views(ledger, who).default
        return None if view is None else view.name

    views.change_view(ledger, OWNER, "fees", "charges")
    assert (default(reader), default(OWNER)) == ("charges", "charges")
    views.change_view(ledger, OWNER, "charges", is_shared=False)
    assert (default(reader), default(OWNER)) == (None, "charges")
    views.save_view(ledger, OWNER, "charges", FEES, is_shared=False, is_default=False)
    assert default(OWNER) is None
    views.save_view(ledger, OWNER, "charges", FEES, is_shared=False, is_default=True)
    views.remove_view(ledger, OWNER, "charges")
    assert default(OWNER) is None


def test_views_end_with_their_owner_and_outlive_a_new_role(ledger: Ledger) -> None:
    wang = user(ledger, "wang", Role.ACCOUNTANT)
    text = create_token(ledger, names=None, scopes=[Scope.READ, Scope.MANAGE]).text
    token = find_token(ledger, text)
    assert token is not None
    program = bearer("program", token)
    save(ledger, wang, "own")
    save(ledger, wang, "for all", is_shared=True)
    save(ledger, program, "of a token", is_shared=True)
    views.set_default(ledger, OWNER, "for all")
    change_role(ledger, "wang", Role.VIEWER)
    assert names(ledger, OWNER) == ["for all", "of a token"]
    with pytest.raises(PermissionDenied, match="revoked"):
        save(ledger, wang, "too late")
    revoke_token(ledger, token.id)
    assert names(ledger, OWNER) == ["for all"]
    remove_user(ledger, "wang")
    assert views.visible_views(ledger, OWNER) == ([], None)
    assert names(ledger, user(ledger, "wang", Role.VIEWER)) == [], "another person of this name begins without views"


@pytest.mark.parametrize(
    ("name", "query", "error"),
    [
        ("", FEES, "name: expected 1 to 80 printable characters"),
        (" x", FEES, "name: expected"),
        ("..", FEES, "name: expected"),
        ("a/b", FEES, "name: expected"),
        ("x" * 81, FEES, "name: expected"),
        ("x", ViewQuery({"kind": "nope"}), "kind: expected one of"),
        ("x", ViewQuery({"nope": "1"}), "nope: expected one of"),
        ("x", ViewQuery({"since": "2025-02-01", "until": "2025-01-01"}), "until: expected"),
        ("x", ViewQuery(columns=()), "columns: expected some of time, account"),
        ("x", ViewQuery(columns=("time", "nope")), "columns: expected some of .*, got 'nope'"),
        ("x", ViewQuery(order="up"), "order: expected newest or oldest, got 'up'"),
        ("x", ViewQuery(zone="Mars"), "zone: expected account or a time zone"),
        ("x", ViewQuery(accounts=("nobody",)), "account: there is none named 'nobody'"),
    ],
)
def test_what_cannot_be_saved_is_named(ledger: Ledger, name: str, query: ViewQuery, error: str) -> None:
    with pytest.raises((InvalidField, FilterError, AccountNotFound), match=error):
        save(ledger, OWNER, name, query)
    assert names(ledger, OWNER) == []


def test_an_owner_has_so_many_views_at_most(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saved_views, "VIEWS_MAX", 2)
    save(ledger, OWNER, "one")
    save(ledger, OWNER, "two")
    save(ledger, OWNER, "two", ViewQuery())
    with pytest.raises(ConfigError, match="at most 2 of one owner"):
        save(ledger, OWNER, "three")
    assert names(ledger, OWNER) == ["one", "two"]
