"""How far each account is collected, for people and monitors."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa

from liushui.instant import from_us
from liushui.ledger.coverage import State
from liushui.ledger.read.completeness import Cause, Verdict, end_instant
from liushui.ledger.read.model import Account, ReadModel
from liushui.ledger.schema import batches


class AccountStatus(NamedTuple):
    """How far an account is collected. `gaps` counts ranges that should have been read and were not.

    `proven_until`: everything from the account's beginning up to there is in the ledger; None: not even its beginning.
    """

    account: str
    provider: str
    flows: int
    quarantined: int
    findings: int
    proven_from: datetime | None
    proven_until: datetime | None
    gaps: int
    batches: int
    zone: str
    verdict: Verdict


def read_statuses(model: ReadModel, names: Sequence[str] = ()) -> list[AccountStatus]:
    """The status of those accounts, of all where none is named. Raises AccountNotFound."""
    with model.reading(names) as reading:
        query = sa.select(batches.c.account, sa.func.count()).where(batches.c.account.in_(list(reading.accounts)))
        counts = {
            account: int(count) for account, count in reading.connection.execute(query.group_by(batches.c.account))
        }
        return [status_of(account, counts.get(name, 0)) for name, account in reading.accounts.items()]


def status_of(account: Account, batch_count: int) -> AccountStatus:
    """The status of one account of a reading."""
    snapshot, verdict = account.snapshot, account.verdict()
    proven = [known for known in snapshot.ranges if known.state is State.PROVEN]
    unread = [gap for gap in verdict.gaps if gap.cause not in (Cause.REJECTED_ROWS, Cause.NO_SOURCE)]
    failed = [known for known in snapshot.ranges if known.state is State.OPEN]
    return AccountStatus(
        snapshot.account,
        snapshot.provider,
        flows=snapshot.flows,
        quarantined=snapshot.rejected_rows,
        findings=sum(snapshot.findings.values()),
        proven_from=from_us(proven[0].since_us) if proven else None,
        proven_until=end_instant(verdict.until_us),
        gaps=len(unread) if account.completeness.has_source else len(failed),
        batches=batch_count,
        zone=snapshot.zone,
        verdict=verdict,
    )
