"""What a sync does, as structured log lines: one a slice, gap, repeated call and longer wait."""

from collections.abc import MutableMapping
from datetime import timedelta
from enum import StrEnum
from typing import Any, Final, TextIO

from liushui.instant import Clock, iso
from liushui.sync.events import Due, Ended, Event, Failed, Kept, Retried, Waited

WAIT_MIN: Final = timedelta(seconds=1)
"""Shorter waits are the pace of a sync, and no news."""

_MILLISECOND = timedelta(milliseconds=1)


class LogFormat(StrEnum):
    """How lines are written."""

    NONE = "none"
    TEXT = "text"
    JSON = "json"


class Logs:
    """Writes a line for each event that is worth one."""

    def __init__(self, form: LogFormat, stream: TextIO, clock: Clock) -> None:
        import structlog  # inside: most syncs show bars, and write no lines

        shown: structlog.typing.Processor = (
            structlog.processors.JSONRenderer(ensure_ascii=False)
            if form is LogFormat.JSON
            else structlog.processors.LogfmtRenderer(key_order=["at", "event", "account"])
        )
        self._clock = clock
        self._logger = structlog.wrap_logger(structlog.PrintLogger(stream), processors=[self._stamp, shown])

    def __call__(self, event: Event) -> None:
        match event:
            case Kept(account, asked, rows, committed, took):
                self._logger.info(
                    "slice",
                    account=account,
                    since=iso(asked.since),
                    until=iso(asked.until),
                    rows=rows,
                    **{name: count for name, count in committed._asdict().items() if name != "seq" and count},
                    ms=took // _MILLISECOND,
                )
            case Failed(account, asked, reason, took):
                self._logger.warning(
                    "gap",
                    account=account,
                    since=iso(asked.since),
                    until=iso(asked.until),
                    reason=reason,
                    ms=took // _MILLISECOND,
                )
            case Retried(account, asked, reason, attempt, wait):
                self._logger.warning(
                    "retry",
                    account=account,
                    since=iso(asked.since),
                    until=iso(asked.until),
                    reason=reason,
                    attempt=attempt,
                    wait_ms=wait // _MILLISECOND,
                )
            case Waited(account, wait, reason) if wait >= WAIT_MIN:
                self._logger.info("wait", account=account, reason=reason, wait_ms=wait // _MILLISECOND)
            case Ended(account, result):
                said = result.error or result.note
                self._logger.info(
                    "end",
                    account=account,
                    status=result.status.value,
                    slices=result.slices,
                    rows=result.rows_in,
                    gaps=len(result.gaps),
                    **({"said": said} if said else {}),
                )
            case Due(account, at):
                self._logger.info("due", account=account, next=iso(at))
            case _:
                pass

    def _stamp(self, _logger: object, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        return {"at": iso(self._clock()), "level": method, **event}
