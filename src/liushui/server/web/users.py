"""The pages of an owner: the people who log in, each with a role, and the audit log of who did what."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

from litestar import get, post
from litestar.response import Response

from liushui.errors import AlreadyExists, ConfigError, InvalidField, NotFound
from liushui.ledger.access.audit import list_actions
from liushui.ledger.access.identities import linked_users, provider_title, set_identity
from liushui.ledger.access.sessions import PASSWORD_MAX, PASSWORD_MIN
from liushui.ledger.access.users import (
    NAME_MAX,
    EmailTaken,
    Role,
    User,
    add_user,
    change_role,
    get_user,
    list_users,
    remove_user,
    set_user_password,
)
from liushui.ledger.engine import account_names
from liushui.server.web.audit_labels import audit_label
from liushui.server.web.forms import Form
from liushui.server.web.guard import NEEDS
from liushui.server.web.page import OWNER, CurrentPage, Page, redirect

ENTRIES_SHOWN: Final = 200
"""Entries of the audit log on its page: the newest."""


@get("/users", sync_to_thread=True, opt={NEEDS: OWNER})
def show_users(page: CurrentPage) -> Response[str]:
    """The users, and the newest entries of the audit log."""
    return page.render(
        "users/index.html",
        users=list_users(page.ledger),
        linked=linked_users(page.ledger),
        roles={role.value: name for role, name, _ in _role_choices(page)},
        entries=list_actions(page.ledger, limit=ENTRIES_SHOWN),
        audit_label=lambda entry: audit_label(entry, page.language),
        now=page.ledger.clock(),
    )


@get("/users/new", sync_to_thread=True, opt={NEEDS: OWNER})
def new_user(page: CurrentPage) -> Response[str]:
    """The empty form for a user."""
    return _form(page, None, {"role": Role.VIEWER.value, "all": "yes"}, {})


@get("/users/edit", sync_to_thread=True, opt={NEEDS: OWNER})
def edit_user(page: CurrentPage) -> Response[str]:
    """The form with a user's role and accounts."""
    try:
        user = get_user(page.ledger, page.request.query_params.get("user", ""))
    except NotFound:
        return redirect("/users")
    return _form(page, user, _values(user), {})


@post("/users", sync_to_thread=True, opt={NEEDS: OWNER})
def create_user(page: CurrentPage) -> Response[str]:
    """Add a user."""
    form = Form(page)
    name, role, accounts = form.text("name"), form.one_of("role", list(Role)), _accounts(form)
    email = form.typed("email")
    # Users who log in through the identity provider need no password.
    password = None if email and not page.form.get("password") else _password(form)
    if name is not None and role is not None and not form.is_wrong:
        try:
            add_user(page.ledger, name, Role(role), accounts, password=password, email=email)
        except EmailTaken:
            form.wrong("email", page.say("Another user has this address."))
        except AlreadyExists:
            form.wrong("name", page.say("A user with this name already exists."))
        except InvalidField as error:
            _invalid(form, error)
        except ConfigError as error:
            form.wrong("name", str(error))
        else:
            return redirect("/users")
    return _form(page, None, {**page.form, "accounts": accounts or ()}, form.errors)


@post("/users/role", sync_to_thread=True, opt={NEEDS: OWNER})
def change_user(page: CurrentPage) -> Response[str]:
    """Give a user another role and other accounts."""
    form = Form(page)
    name, role, accounts = form.typed("user"), form.one_of("role", list(Role)), _accounts(form)
    if role is not None and not form.is_wrong:
        try:
            change_role(page.ledger, name, Role(role), accounts)
        except NotFound:
            return redirect("/users")
        except ConfigError as error:
            form.wrong("role", str(error))
        else:
            return redirect("/users")
    user = get_user(page.ledger, name)
    return _form(page, user, {**_values(user), **page.form, "accounts": accounts or ()}, form.errors)


@post("/users/password", sync_to_thread=True, opt={NEEDS: OWNER})
def change_password(page: CurrentPage) -> Response[str]:
    """Set another password of a user."""
    form = Form(page)
    name, password = form.typed("user"), _password(form)
    if password is None:
        user = get_user(page.ledger, name)
        return _form(page, user, _values(user), form.errors)
    return _then_list(lambda: set_user_password(page.ledger, name, password))


@post("/users/identity", sync_to_thread=True, opt={NEEDS: OWNER})
def change_identity(page: CurrentPage) -> Response[str]:
    """Set the address by which the identity provider knows a user. Empty: no address."""
    form = Form(page)
    name, email = form.typed("user"), form.typed("email")
    try:
        return _then_list(lambda: set_identity(page.ledger, name, email=email))
    except EmailTaken:
        form.wrong("email", page.say("Another user has this address."))
    except InvalidField as error:
        _invalid(form, error)
    user = get_user(page.ledger, name)
    return _form(page, user, _values(user) | {"email": email}, form.errors)


@post("/users/remove", sync_to_thread=True, opt={NEEDS: OWNER})
def delete_user(page: CurrentPage) -> Response[str]:
    """Remove a user."""
    return _then_list(lambda: remove_user(page.ledger, page.form.get("user", "")))


def _then_list(change: Callable[[], object]) -> Response[str]:
    with suppress(NotFound):  # sending a form twice, or for a user whom another owner removed, is not an error
        change()
    return redirect("/users")


def _invalid(form: Form, error: InvalidField) -> None:
    if error.field == "email":
        form.wrong("email", form.page.say("Expected an address such as wang@example.com."))
    else:
        form.wrong("name", str(error))


def _values(user: User) -> dict[str, object]:
    """The values of a user's forms."""
    accounts = sorted(user.accounts or ())
    return {"role": user.role.value, "accounts": accounts, "all": user.accounts is None, "email": user.email}


def _accounts(form: Form) -> list[str] | None:
    """The chosen accounts. None: all of them."""
    if form.ticked("all"):
        return None
    with form.page.ledger.reading() as connection:
        return form.some_of("accounts", account_names(connection))


def _password(form: Form) -> str | None:
    password = form.page.form.get("password", "")
    if PASSWORD_MIN <= len(password) <= PASSWORD_MAX:
        return password
    least = form.page.say("Use at least %(least)s characters.", least=PASSWORD_MIN)
    form.wrong("password", least if len(password) < PASSWORD_MIN else form.page.say("This is too long."))
    return None


def _form(page: Page, user: User | None, values: Mapping[str, object], errors: Mapping[str, str]) -> Response[str]:
    """The form of a user; None: of a new user."""
    with page.ledger.reading() as connection:
        accounts = account_names(connection)
    return page.render(
        "users/form.html",
        status=422 if errors else 200,
        user=user,
        accounts=accounts,
        roles=_role_choices(page),
        name_max=NAME_MAX,
        provider=provider_title(page.ledger),
        values=values,
        errors=errors,
    )


def _role_choices(page: Page) -> list[tuple[Role, str, str]]:
    """The roles: the field's value, its name, and what it allows."""
    say = page.say
    meanings = {
        Role.VIEWER: say("reads and exports"),
        Role.ACCOUNTANT: say("also confirms links, states balances, explains and closes"),
        Role.OPERATOR: say("reads; runs sources, syncs, keys and tokens; decides nothing"),
        Role.OWNER: say("everything of all accounts, users included"),
    }
    return [(role, page.labels.role(role), meaning) for role, meaning in meanings.items()]
