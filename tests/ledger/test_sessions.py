"""Login codes, the password and sessions: a code is valid once, and everything expires."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from threading import Barrier

import pytest
from argon2 import extract_parameters
from argon2.profiles import RFC_9106_LOW_MEMORY
from sqlalchemy import event
from sqlalchemy.engine import Connection

from liushui.errors import AlreadyExists, ConfigError, PermissionDenied
from liushui.ledger.access.identities import IdentityProvider, Person, log_in_person
from liushui.ledger.access.sessions import (
    CODE_LIFETIME,
    HASHER,
    IDLE_TIMEOUT,
    PASSWORD_MIN,
    SESSION_LIFETIME,
    PasswordMatch,
    begin_session,
    create_login_code,
    end_session,
    end_sessions,
    find_session,
    has_password,
    list_sessions,
    redeem_login_code,
    remove_password,
    set_password,
    verify_password,
)
from liushui.ledger.access.users import Role, User, add_user, check_login, list_users, remove_user, set_user_password
from liushui.ledger.engine import Ledger
from liushui.ledger.engines.postgres import PostgresLedger
from liushui.ledger.schema import login_codes, passwords, sessions

PASSWORD = "correct horse battery"


def at(ledger: Ledger, when: datetime) -> Ledger:
    """The ledger at another time."""
    return ledger.with_clock(partial(datetime.fromtimestamp, when.timestamp(), UTC))


def test_a_login_code_is_valid_for_one_of_many_concurrent_callers(ledger: Ledger) -> None:
    code = create_login_code(ledger)
    with ThreadPoolExecutor(4) as threads:
        assert sorted(threads.map(lambda _: redeem_login_code(ledger, code), range(8))) == [False] * 7 + [True]
    assert not redeem_login_code(ledger, "") and not redeem_login_code(ledger, code)


def test_a_login_code_expires_after_a_day(ledger: Ledger) -> None:
    code, end = create_login_code(ledger), ledger.clock() + CODE_LIFETIME
    assert not redeem_login_code(at(ledger, end), code)
    assert redeem_login_code(at(ledger, end - timedelta(seconds=1)), code)


def test_a_new_password_replaces_the_old_one_and_ends_sessions(ledger: Ledger) -> None:
    assert not has_password(ledger) and not verify_password(ledger, "")
    name = begin_session(ledger, "link")
    set_password(ledger, PASSWORD)
    assert find_session(ledger, name) is None
    assert verify_password(ledger, PASSWORD) and not verify_password(ledger, PASSWORD[:-1])
    set_password(ledger, PASSWORD[::-1])
    assert not verify_password(ledger, PASSWORD)
    name = begin_session(ledger, "password")
    remove_password(ledger)
    assert find_session(ledger, name) is None and not verify_password(ledger, PASSWORD[::-1])
    with pytest.raises(ConfigError, match="password: there is none"):
        remove_password(ledger)


def test_a_login_during_a_change_of_the_password_begins_no_session(ledger: Ledger) -> None:
    add_user(ledger, "wang", Role.VIEWER, password=PASSWORD)
    set_password(ledger, PASSWORD)
    login, of_owner = check_login(ledger, "wang", PASSWORD), verify_password(ledger, PASSWORD)
    assert login is not None and of_owner is not None
    user, of_user = login
    begin_session(ledger, "user", token=user.token, match=of_user)
    set_user_password(ledger, "wang", PASSWORD[::-1])
    set_password(ledger, PASSWORD)  # the same text: it has another hash
    for match in (of_user, of_owner):
        with pytest.raises(PermissionDenied, match="password: it was changed during the login"):
            begin_session(ledger, "password", match=match)
    remove_user(ledger, "wang")
    remove_password(ledger)
    for match in (of_user, of_owner):
        with pytest.raises(PermissionDenied, match="password: it was changed during the login"):
            begin_session(ledger, "password", match=match)
    assert list_sessions(ledger) == []


def test_a_session_and_a_change_of_the_password_wait_for_each_other(ledger: Ledger) -> None:
    add_user(ledger, "wang", Role.VIEWER, password=PASSWORD)
    for _ in range(3):
        login = check_login(ledger, "wang", PASSWORD)
        assert login is not None
        user, match = login
        barrier = Barrier(2)

        def begin(token: str, match: PasswordMatch, barrier: Barrier = barrier) -> None:
            barrier.wait()
            with suppress(PermissionDenied):
                begin_session(ledger, "user", token=token, match=match)

        def change(barrier: Barrier = barrier) -> None:
            barrier.wait()
            set_user_password(ledger, "wang", PASSWORD)

        with ThreadPoolExecutor(2) as threads:
            begun, changed = threads.submit(begin, user.token, match), threads.submit(change)
            begun.result()
            changed.result()
        assert list_sessions(ledger) == []


def test_of_two_users_of_one_name_at_once_one_is_added(ledger: Ledger) -> None:
    barrier = Barrier(4)

    def add(number: int) -> bool:
        barrier.wait()
        try:
            add_user(ledger, "wang", Role.VIEWER, password=f"{PASSWORD} {number}")
        except AlreadyExists:
            return False
        return True

    with ThreadPoolExecutor(4) as threads:
        assert sorted(threads.map(add, range(4))) == [False, False, False, True]
    assert [user.name for user in list_users(ledger)] == ["wang"]


def test_of_two_first_logins_of_one_person_at_once_both_are_the_same_user(ledger: Ledger) -> None:
    provider = IdentityProvider("https://id.example", "liushui", "", "Example")
    person = Person("7f3a", "", has_unverified_email=False, names=("wang",), role=Role.VIEWER)
    barrier = Barrier(2)

    def log_in(_number: int) -> tuple[str, bool]:
        barrier.wait()
        user, is_new = log_in_person(ledger, provider, person)
        return user.name, is_new

    with ThreadPoolExecutor(2) as threads:
        assert sorted(threads.map(log_in, range(2))) == [("wang", False), ("wang", True)]
    assert [user.name for user in list_users(ledger)] == ["wang"]


@pytest.mark.parametrize("email", ["", "wang@example.com"], ids=["added by a claim", "found by the address"])
def test_a_first_login_between_the_statements_of_another_one_is_the_same_user(ledger: Ledger, email: str) -> None:
    provider = IdentityProvider("https://id.example", "liushui", "", "Example")
    person = Person("7f3a", email, has_unverified_email=False, names=("wang",), role=Role.VIEWER)
    if email:
        add_user(ledger, "wang", Role.VIEWER, email=email)
    faster: list[User] = []
    moments = iter(["before the first query of users"])

    def log_in_first(_connection: Connection, _cursor: object, statement: str, *_rest: object) -> None:
        """The other login is committed after this one has looked for the subject, and before it looks for the user."""
        if statement.startswith("SELECT users.") and next(moments, None):
            faster.append(log_in_person(ledger, provider, person)[0])

    if isinstance(ledger, PostgresLedger):  # SQLite has one writer at a time
        event.listen(ledger.engine, "before_cursor_execute", log_in_first)
    user, is_new = log_in_person(ledger, provider, person)
    assert user.name == "wang" and is_new is (not email and not faster)
    assert [other.name for other in faster] == ["wang"] * isinstance(ledger, PostgresLedger)
    assert [known.name for known in list_users(ledger)] == ["wang"]


def test_a_hash_costs_what_the_standard_recommends() -> None:
    assert extract_parameters(HASHER.hash("correct horse")) == RFC_9106_LOW_MEMORY


def test_a_password_that_is_too_short_is_refused(ledger: Ledger) -> None:
    with pytest.raises(ConfigError, match=f"password: expected {PASSWORD_MIN} to 1000 characters, got 3"):
        set_password(ledger, "abc")
    assert not has_password(ledger)


def test_a_session_ends_when_unused_and_at_its_latest_end(ledger: Ledger) -> None:
    start = ledger.clock()
    unused, used = begin_session(ledger, "link"), begin_session(ledger, "link", agent="Browser", token="t")
    now = start
    while now < start + SESSION_LIFETIME - IDLE_TIMEOUT / 2:
        now += IDLE_TIMEOUT / 2
        found = find_session(at(ledger, now), used)
        assert found is not None and (found.agent, found.token) == ("Browser", "t"), "used, it goes on"
    assert find_session(at(ledger, start + IDLE_TIMEOUT), unused) is None
    assert find_session(at(ledger, start + SESSION_LIFETIME), used) is None


def test_sessions_are_ended_by_id_or_all_except_one(ledger: Ledger) -> None:
    names = [begin_session(ledger, "link", agent=f"{number}") for number in range(4)]
    first, second, *_ = (find_session(ledger, name) for name in names)
    assert first is not None and second is not None
    end_session(ledger, first.id)
    end_session(ledger, first.id)
    assert {session.agent for session in list_sessions(ledger)} == {"1", "2", "3"}
    assert end_sessions(ledger, except_id=second.id) == 2
    assert [session.agent for session in list_sessions(ledger)] == ["1"]
    assert end_sessions(ledger) == 1


def test_no_code_or_session_name_is_stored(ledger: Ledger) -> None:
    set_password(ledger, PASSWORD)
    code, name = create_login_code(ledger), begin_session(ledger, "link")
    with ledger.reading() as connection:
        kept = str([connection.execute(table.select()).all() for table in (login_codes, passwords, sessions)])
    assert len(kept) > 200
    assert all(secret not in kept for secret in (code, name, PASSWORD))
