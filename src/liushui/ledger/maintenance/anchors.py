"""Anchors: links of chains that were recorded outside of the ledger. A link confirms all batches up to its own.

If a ledger was cut, replaced by an older copy, or sealed again from some batch on, it is still consistent with itself.
But its links differ from those that were recorded before.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from liushui.errors import InvalidField, short_repr
from liushui.instant import to_iso

_LINK: Final = re.compile(r"[0-9a-f]{64}")


class Anchor(NamedTuple):
    """The link of a batch of an account, and who recorded it. `batch` None: the number of the batch is not known.

    Batch 0 is the beginning of the account, before its first commit.
    """

    account: str
    batch: int | None
    link: str
    origin: str
    """The place of the record: a file, or the option `--expect`."""
    recorded_at: datetime | None = None

    @property
    def source(self) -> str:
        """Names the record in messages."""
        return self.origin if self.recorded_at is None else f"{self.origin} (of {to_iso(self.recorded_at)})"


class AnchorFailure(NamedTuple):
    """A chain does not contain a recorded anchor. `batch`: the first batch that is known to differ."""

    account: str
    batch: int | None
    what: str


def parse_expected(text: str) -> Anchor:
    """The anchor in `ACCOUNT=LINK`, the option `--expect`. Raises InvalidField."""
    account, equals, link = text.rpartition("=")
    if not account or not equals or not _LINK.fullmatch(link):
        expected = "ACCOUNT=LINK, with the 64 hexadecimal digits of a link that `liushui verify` printed"
        raise InvalidField("expect", expected, short_repr(text))
    return Anchor(account, None, link, "--expect")


def check_anchors(links: Sequence[str], anchors: Iterable[Anchor]) -> tuple[int | None, list[AnchorFailure]]:
    """Compare an account's chain with its anchors. `links` are the links of its batches; index 0 is the initial link.

    Returns the newest batch that an anchor confirms (None: no anchor), and the first difference for each origin.
    """
    known = {link: batch for batch, link in enumerate(links)}
    agreed: list[int] = []
    failures: dict[str, AnchorFailure] = {}
    for anchor in sorted(anchors, key=lambda anchor: -1 if anchor.batch is None else anchor.batch):
        batch = known.get(anchor.link)
        if batch is not None and anchor.batch in (None, batch):
            agreed.append(batch)
        else:
            failures.setdefault(anchor.origin, _failure(anchor, links, max(agreed, default=None)))
    return max(agreed, default=None), list(failures.values())


def missing_accounts(names: Iterable[str], anchors: Iterable[Anchor]) -> Iterator[AnchorFailure]:
    """A failure for each anchor of an account that a ledger does not have."""
    known = set(names)
    for anchor in {anchor.account: anchor for anchor in anchors if anchor.account not in known}.values():
        yield AnchorFailure(anchor.account, anchor.batch, f"the account is missing: {anchor.source} names it")


def _failure(anchor: Anchor, links: Sequence[str], agreed: int | None) -> AnchorFailure:
    last, account = len(links) - 1, anchor.account
    if anchor.batch is None:
        return AnchorFailure(account, None, f"{anchor.source} names the link {anchor.link}: no batch has it")
    agrees = "" if agreed is None else f"; up to batch {agreed} the account is as it was recorded"
    if anchor.batch > last:
        what = f"the account ends at batch {last}, and {anchor.source} names batch {anchor.batch}{agrees}"
        return AnchorFailure(account, last + 1, f"batches are missing at its end: {what}")
    what = f"{anchor.source} names the link {anchor.link} of batch {anchor.batch}, which has {links[anchor.batch]}"
    return AnchorFailure(account, anchor.batch, f"this batch or an earlier one was replaced: {what}{agrees}")
