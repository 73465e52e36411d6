"""Checks a proposed mapping by the balances in the table, and corrects the column or the sign of its amounts."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import msgspec

from liushui.errors import WireError
from liushui.files.cells import Cells, parse_amount
from liushui.files.mapping import Columns, Mapping
from liushui.flow import Flow
from liushui.money import EXACT


def checked(mapping: Mapping, header: Sequence[str], lines: Sequence[Sequence[str]]) -> tuple[Mapping, str]:
    """Return the mapping whose amounts lead from each balance to the next, chosen among similar mappings, and a
    doubt."""
    rows = [Cells(dict(zip(header, line, strict=True))) for line in lines]
    if not mapping.columns.balance:
        return mapping, _doubt_without_balances(mapping, rows)
    agreeing, pairs = _agreement(mapping, rows)
    for other in _alternatives(mapping, header, rows) if 2 * agreeing <= pairs else ():
        count, of = _agreement(other, rows)
        if count > agreeing and 2 * count > of:
            mapping, agreeing, pairs = other, count, of
    is_wrong = pairs > 0 and 2 * agreeing <= pairs
    return mapping, "the amounts do not lead from one balance to the next: check the columns and `negate`" * is_wrong


def _alternatives(mapping: Mapping, header: Sequence[str], rows: Sequence[Cells]) -> Iterator[Mapping]:
    """Mappings with another column of amounts, with or without the fee, and with the other sign."""
    columns = mapping.columns
    if not columns.amount or columns.side:
        return
    used = {columns.balance, columns.fee, *columns.times}
    others = [name for name in header if name not in used and _has_amounts(rows, name, mapping.decimal_mark)]
    for amount in dict.fromkeys((columns.amount, *others)):
        for fee in dict.fromkeys((columns.fee, "")):
            changed = {field: getattr(columns, field) for field in Columns.__struct_fields__}
            changed |= {"amount": amount, "fee": fee}
            for negate in (False, True):
                yield msgspec.structs.replace(mapping, columns=Columns(**changed), negate=negate)


def _has_amounts(rows: Sequence[Cells], name: str, mark: str) -> bool:
    """Whether nearly all cells of a column that are not empty have a number."""
    texts = [text for row in rows if (text := row.text(name))]
    return bool(texts) and 10 * sum(_is_amount(text, mark) for text in texts) >= 9 * len(texts)


def _is_amount(text: str, mark: str) -> bool:
    try:
        parse_amount("amount", text, mark)
    except WireError:
        return False
    return True


def _agreement(mapping: Mapping, rows: Sequence[Cells]) -> tuple[int, int]:
    """How many rows follow, by their amount, from the balance of the row before or after them, and of how many.

    Equal balances prove nothing, because some files have 0 in each row.
    """
    flows = [
        flow for row in rows if (flow := _flow_or_none(mapping, row)) is not None and flow.balance_after is not None
    ]
    pairs = [
        (before, after)
        for before, after in pairwise(flows)
        if before.currency == after.currency and before.balance_after != after.balance_after
    ]
    oldest_first = sum(_follows(before, after) for before, after in pairs)
    newest_first = sum(_follows(after, before) for before, after in pairs)
    return max(oldest_first, newest_first), len(pairs)


def _follows(before: Flow, after: Flow) -> bool:
    if before.balance_after is None or after.balance_after is None:
        return False
    return EXACT.add(before.balance_after, after.amount) == after.balance_after


def _flow_or_none(mapping: Mapping, row: Cells) -> Flow | None:
    try:
        return mapping.read(row)
    except WireError:
        return None


def _doubt_without_balances(mapping: Mapping, rows: Sequence[Cells]) -> str:
    if not mapping.columns.amount or mapping.columns.side:
        return ""
    flows = [flow for row in rows if (flow := _flow_or_none(mapping, row)) is not None]
    is_one_sided = len(flows) > 1 and all(flow.amount >= 0 for flow in flows)
    return "no amount is below zero: if money went out too, set `negate`, or name the column `side`" * is_one_sided
