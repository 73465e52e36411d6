"""Every error liushui raises, as one tree. The class says what to do; the message what was expected and what came."""


class LiushuiError(Exception):
    """Anything liushui says on purpose. Its text is one line fit for a user."""


class ConfigError(LiushuiError):
    """What the user gave cannot be used: correct it and call again."""


class WireError(LiushuiError):
    """Bytes from outside do not fit the document. `field` is the place, `reason` what was expected and what came."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


class NotRepresentable(LiushuiError):
    """A dialect has no words for a flow: written all the same, it would say something else than what happened."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


class ProviderError(LiushuiError):
    """A provider answered with an error. `code` and `trace` are its own words, where it gave any."""

    def __init__(self, message: str, *, code: int | None = None, trace: str | None = None) -> None:
        about = [f"code {code}"] if code is not None else []
        about += [f"trace {trace}"] if trace else []
        super().__init__(f"{message} ({', '.join(about)})" if about else message)
        self.code = code
        self.trace = trace


class AuthError(ProviderError):
    """Credentials are refused: ask the user; calling again with the same ones cannot help."""


class RateLimited(ProviderError):
    """Too many calls: wait `retry_after_s` seconds (None: the provider did not say), then go on."""

    def __init__(
        self,
        message: str,
        *,
        code: int | None = None,
        trace: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message, code=code, trace=trace)
        self.retry_after_s = retry_after_s


class Unavailable(ProviderError):
    """The provider cannot be reached or is broken now: try again later, in `retry_after_s` seconds where it said so."""

    def __init__(
        self,
        message: str,
        *,
        code: int | None = None,
        trace: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message, code=code, trace=trace)
        self.retry_after_s = retry_after_s


class Refused(ProviderError):
    """The provider understood the request and will not answer it: the request is wrong."""


class LedgerError(LiushuiError):
    """The ledger cannot be opened, read or written. Nothing was written."""


class LedgerBusy(LedgerError):
    """Another process is writing; it did not finish within the time we wait."""


class ConnectionLost(LedgerBusy):
    """The connection to the ledger was lost before a commit: nothing of it is kept."""


class CommitOutcomeUnknown(LedgerBusy):
    """The connection to the ledger was lost while a commit was under way: it is kept whole, or not at all."""


class StaleRead(LedgerError):
    """A slice was proven again by somebody else after this read of it began: read it again."""


class ConfirmationRequired(LedgerError):
    """Keeping a slice would end versions of flows, or withdraw rows from quarantine: read it again before that."""


class SyncError(LiushuiError):
    """A slice could not be proven. It stays an open gap."""


def short_repr(value: object) -> str:
    """A value as an error message shows it: short, quoted, its type plain to see."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
