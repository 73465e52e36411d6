"""The entries of the audit log in the reader's language: the action, the face, and the outcome."""

from typing import Final, NamedTuple

from liushui.ledger.access.audit import AuditEntry, Face
from liushui.server.audit import DONE, FAILED, REFUSED
from liushui.server.web.i18n import Language


def _(text: str) -> str:
    """Mark a text for translation."""
    return text


FACES: Final = {Face.PAGE: _("Page"), Face.API: _("API"), Face.COMMAND_LINE: _("Command line")}

ACTIONS: Final = {
    "account add": _("Add an account"),
    "account remove": _("Remove an account"),
    "account rename": _("Rename an account"),
    "balance state": _("State a balance"),
    "balance withdraw": _("Withdraw a stated balance"),
    "certificate create": _("Create a certificate"),
    "certificate key create": _("Create a signing key"),
    "close": _("Close a month"),
    "close --reopen": _("Reopen a month"),
    "finding decide": _("Decide on flows to review"),
    "finding explain": _("Explain a flow to review"),
    "finding withdraw": _("Withdraw an explanation"),
    "import": _("Import files"),
    "import check": _("Check a file to import"),
    "import drop": _("Drop a file to import"),
    "import undo": _("Undo an import"),
    "key claim": _("Exchange a SimpleFIN token"),
    "key create": _("Create a key"),
    "key revoke": _("Revoke a key"),
    "link confirm": _("Confirm a link"),
    "link decide": _("Decide on a link"),
    "link reject": _("Reject a link"),
    "log in": _("Log in"),
    "login": _("Print a login link"),
    "logout": _("End sessions"),
    "notify add": _("Add a rule for notifications"),
    "notify remove": _("Remove a rule for notifications"),
    "notify replay": _("Send notifications again"),
    "notify test": _("Test a rule for notifications"),
    "oidc remove": _("Remove the identity provider"),
    "oidc set": _("Set the identity provider"),
    "password remove": _("Remove the password"),
    "password set": _("Set the password"),
    "quarantine discard": _("Discard rejected rows"),
    "quarantine retry": _("Read rejected rows again"),
    "rebuild": _("Rebuild flows from their rows"),
    "sample data add": _("Add the sample data"),
    "sample data remove": _("Remove the sample data"),
    "source add": _("Add a source"),
    "source credentials": _("Replace a source's credentials"),
    "source pause": _("Pause a source"),
    "source pause or resume": _("Pause or resume a source"),
    "source remove": _("Remove a source"),
    "source resume": _("Resume a source"),
    "source test": _("Test a source"),
    "sync": _("Request a sync"),
    "token create": _("Create a token"),
    "token revoke": _("Revoke a token"),
    "user add": _("Add a user"),
    "user identity": _("Change a user's identity"),
    "user password": _("Change a user's password"),
    "user remove": _("Remove a user"),
    "user role": _("Change a user's role"),
    "view change": _("Rename or share a view"),
    "view default": _("Choose the first view"),
    "view remove": _("Remove a view"),
    "view save": _("Save a view"),
}
"""The actions in the log, by their stored names. Logs of other releases may have further ones."""


class AuditLabel(NamedTuple):
    """An entry in words. `look` is the look of the outcome's tag."""

    through: str
    action: str
    outcome: str
    look: str


def audit_label(entry: AuditEntry, language: Language) -> AuditLabel:
    """An entry in the reader's language. An action without a name is shown as it is stored."""
    say = language.say
    action = ACTIONS.get(entry.action)
    word, _space, detail = entry.outcome.partition(" ")
    outcomes = {"": say("No outcome"), DONE: say("Done"), REFUSED: say("Refused"), FAILED: say("Failed")}
    outcome = f"{outcomes.get(word, word)} {detail}".strip()
    return AuditLabel(
        say(FACES[entry.through]),
        entry.action if action is None else say(action),
        outcome,
        "good" if entry.outcome == DONE else "warn",
    )
