"""The errors that liushui raises, as one tree.

Code decides what to do by an error's class, never by its text. The text is one line for a person: the field, the
expected value, the received value and, if helpful, what to do next.
"""

from collections.abc import Sequence


class LiushuiError(Exception):
    """Base of all errors that liushui raises on purpose."""


class ConfigError(LiushuiError):
    """Invalid input from the user, such as an option, a file or a base URL. Correct it and try again."""


class InvalidField(ConfigError):
    """A value that the user gave is well-formed, but not possible. `field` names it, as a path in the user's input."""

    def __init__(self, field: str, expected: str, got: str) -> None:
        super().__init__(f"{field}: expected {expected}, got {got}")
        self.field = field
        self.expected = expected
        self.got = got


class PermissionDenied(ConfigError):
    """The user may not do this."""


class AlreadyExists(ConfigError):
    """The name is taken."""


class NotReconciled(ConfigError):
    """A month cannot be closed: lines of it fail or could not be checked. `lines` names each, with the reason."""

    def __init__(self, period: str, lines: Sequence[tuple[str, str]]) -> None:
        named = "; ".join(f"{line}: {reason}" for line, reason in lines)
        super().__init__(
            f"period: {period} cannot be closed: {named}. Nothing was changed: put it right, or have a person explain "
            "each of these lines"
        )
        self.lines = tuple(lines)


class NotFound(ConfigError):
    """The object that the user named does not exist, or the user may not see it. The error does not say which."""


class AccountNotFound(NotFound):
    """The ledger has no account of that name."""

    def __init__(self, name: str, known: Sequence[str] | None = None) -> None:
        """`known`: the accounts that may be named to the user."""
        there_is = f"expected one of {', '.join(known) or 'none'}, got" if known is not None else "there is none named"
        super().__init__(f"account: {there_is} {short_repr(name)}")


class AccountRenamed(AccountNotFound):
    """No account has this name any more, because the account was renamed."""

    def __init__(self, name: str, current: str) -> None:
        NotFound.__init__(self, f"account: {short_repr(name)} was renamed to {short_repr(current)}: use that name")


class LedgerNotFound(NotFound):
    """There is no ledger at the path or URL."""


class SourceNotFound(NotFound):
    """The ledger has no source of that name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"source: there is none named {short_repr(name)}")


class _FieldError(LiushuiError):
    """An error about one field. `reason` gives the expected and the received value."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


class WireError(_FieldError):
    """Bytes from outside do not match the provider's documented format."""


class WrongPage(WireError):
    """An answer says that its page is not the requested one."""


class NotRepresentable(_FieldError):
    """A provider's wire format has no correct way to write a flow, for example 0.001 CNY on a wire that counts fen."""


class ProviderError(LiushuiError):
    """A provider answered with an error, or did not answer.

    `code` and `trace` are the provider's own error code and request id, and `retry_after_s` the seconds that it asked
    to wait. Each is None if the provider gave none.
    """

    def __init__(
        self,
        message: str,
        *,
        code: int | str | None = None,
        trace: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        about = [f"code {code}"] if code is not None else []
        about += [f"trace {trace}"] if trace else []
        super().__init__(f"{message} ({', '.join(about)})" if about else message)
        self.code = code
        self.trace = trace
        self.retry_after_s = retry_after_s


class AuthError(ProviderError):
    """The provider refused the credentials. Retrying with the same ones cannot help: ask the user."""


class RateLimited(ProviderError):
    """Too many calls. Wait, then go on."""


class Unavailable(ProviderError):
    """The provider cannot be reached, or is broken at the moment. Try again later."""


class Unreachable(Unavailable):
    """No connection was made: there is no network, or no service at the address."""


class Unanswered(Unavailable):
    """A connection was made, but no data arrived within the timeout."""


class Unfinished(Unavailable):
    """An answer began, but did not end within the time of a call."""


class Untrustworthy(ProviderError):
    """The service misbehaves, for example with an endless body. Make no further calls in this sync."""


class ClockRefused(AuthError):
    """The provider refused the time in a signed request: the clock of this machine may be wrong."""


class Refused(ProviderError):
    """The provider understood the request and rejected it. The request itself is wrong: do not retry."""


class LedgerError(LiushuiError):
    """The ledger cannot be opened, read or written. Nothing was written."""


class LedgerBusy(LedgerError):
    """Another process held the ledger's write lock for too long."""


class ConnectionLost(LedgerBusy):
    """The connection to the database broke before the commit. Nothing was written."""


class CommitOutcomeUnknown(LedgerBusy):
    """The connection to the database broke during the commit. Either all of it was written, or nothing."""


class StaleRead(LedgerError):
    """Another process committed a newer read of this slice in the meantime. Read the slice again."""


class ConfirmationRequired(LedgerError):
    """Committing this slice would end flow versions or withdraw rejected rows. Read it once more to confirm that."""


class CertificateError(LiushuiError):
    """A certificate, or a proof of one of its rows, does not match what was signed, or cannot be checked here."""


class SyncError(LiushuiError):
    """A slice could not be read completely. It stays an open gap in the coverage."""


def short_repr(value: object) -> str:
    """Return `repr(value)`, cut to 80 characters. Error texts quote values in this form, so that the type is
    visible."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
