"""Sample data: simulated flows of a shop and of the bank account that it pays out to, to try liushui with.

The accounts have this format instead of a provider. Every face therefore shows that they are simulated, and simulated
and real flows never mix in an account.
"""

from collections.abc import Iterator, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from liushui.files.cells import Cells
from liushui.files.content import Content
from liushui.files.contract import NumberedRow, RowCodec, Statement, file_rules, numbered
from liushui.files.errors import FileError
from liushui.flow import Category, Direction, Flow, Kind
from liushui.money import EXACT, ZERO, to_plain_string
from liushui.rules import Paging, Rules

NAME: Final = "sample"
ZONE: Final = "Asia/Shanghai"
SHOP: Final = "sample-shop"
BANK: Final = "sample-bank"
DAYS: Final = 400
"""The number of days that the flows go back. Each of the last twelve months is whole."""
_CURRENCY: Final = "CNY"
_CENT: Final = Decimal("0.01")
_FEE_RATE: Final = Decimal("0.006")
_INTEREST_RATE: Final = Decimal("0.025")


def _read(cells: Cells) -> Flow:
    amount = cells.amount("amount")
    return Flow(
        identity=cells.record_id("id"),
        at=cells.time("time", ZONE, "%Y-%m-%d %H:%M:%S"),
        amount=amount,
        currency=_CURRENCY,
        direction=Direction.OUT if amount < 0 else Direction.IN,
        kind=Kind(cells.required("kind")),
        category=Category.CASH,
        label=cells.text("label"),
        balance_after=cells.amount("balance"),
        ref=cells.text_or_none("id"),
        order_ref=cells.text_or_none("order"),
    )


class SampleFormat:
    """Reads the rows that `sample_rows` makes. No file has them."""

    name = NAME
    title = "sample data (simulated)"
    is_recognised = False
    states_totals = False
    provider = ""
    rules: Rules[Paging] = file_rules(ZONE, id_columns=("id",), currencies=(_CURRENCY,))
    codec = RowCodec(_read)

    def recognise(self, content: Content) -> bool:
        """No file is sample data."""
        del content
        return False

    def explain(self, content: Content) -> str:
        """No file resembles it."""
        del content
        return ""

    def statements(self, content: Content, zone: str) -> Iterator[Statement]:
        """Raises FileError: no file is sample data."""
        del content, zone
        raise FileError("expected a statement file: sample data is made by the page's first steps, not read from files")


FORMAT = SampleFormat()


# ---------------------------------------------------------------- the flows


class _Entry(NamedTuple):
    account: str
    at: datetime
    id: str
    kind: Kind
    amount: Decimal
    label: str
    order: str = ""


def sample_rows(now: datetime) -> Mapping[str, list[NumberedRow]]:
    """The rows of each account, up to a moment. It depends only on the moment."""
    zone = ZoneInfo(ZONE)
    local = now.astimezone(zone).replace(tzinfo=None)
    opening = local.date() - timedelta(days=DAYS)
    entries = sorted(
        (entry for entry in _entries(opening, local.date()) if entry.at < local), key=lambda entry: (entry.at, entry.id)
    )
    return {account: list(numbered(_stated(entries, account))) for account in (SHOP, BANK)}


def _stated(entries: list[_Entry], account: str) -> Iterator[tuple[int, dict[str, str]]]:
    balance = ZERO
    for number, entry in enumerate((one for one in entries if one.account == account), 1):
        balance = EXACT.add(balance, entry.amount)
        cells = {
            "id": entry.id,
            "time": f"{entry.at:%Y-%m-%d %H:%M:%S}",
            "kind": entry.kind.value,
            "amount": to_plain_string(entry.amount),
            "balance": to_plain_string(balance),
            "label": entry.label,
            "order": entry.order,
        }
        yield number, cells


def _entries(first: date, last: date) -> Iterator[_Entry]:
    """Yield the events from one day to another: sales with fees and some refunds, payouts, and payments of the bank
    account.

    The amounts look irregular, but the number of the day determines them.
    """
    yield _Entry(BANK, _at(first, 9), "B-OPEN", Kind.DEPOSIT, Decimal("120000.00"), "Capital paid in")
    unpaid = ZERO
    for number in range((last - first).days + 1):
        day = first + timedelta(days=number)
        for sale in range(1 + number % 3):
            order = f"SO{day:%Y%m%d}{sale}"
            price = _price(number * 3 + sale)
            fee = -(price * _FEE_RATE).quantize(_CENT)
            at = _at(day, 10 + 4 * sale, 7 * number + sale)
            yield _Entry(SHOP, at, f"R-{order}", Kind.RECEIPT, price, "Sale", order)
            yield _Entry(SHOP, at + timedelta(seconds=1), f"F-{order}", Kind.FEE, fee, "Payment fee", order)
            unpaid = EXACT.add(unpaid, EXACT.add(price, fee))
            if (number + sale) % 17 == 5 and day < last:
                back = _at(day + timedelta(days=1), 20, number)
                yield _Entry(SHOP, back, f"X-{order}", Kind.REFUND, -price, "Refund", order)
                unpaid = EXACT.subtract(unpaid, price)
        if day.weekday() == 0 and unpaid > 0:
            payout = f"PO{day:%Y%m%d}"
            yield _Entry(SHOP, _at(day, 23, 5), f"W-{payout}", Kind.WITHDRAWAL, -unpaid, "Payout to the bank", payout)
            if day < last:
                arrival = _at(day + timedelta(days=1), 8, 30)
                yield _Entry(BANK, arrival, f"D-{payout}", Kind.DEPOSIT, unpaid, "Payout of the shop", payout)
            unpaid = ZERO
        yield from _bank_entries(day, number)


def _bank_entries(day: date, number: int) -> Iterator[_Entry]:
    month = f"{day:%Y%m}"
    match day.day:
        case 1:
            yield _Entry(BANK, _at(day, 9, 15), f"B-RENT{month}", Kind.WITHDRAWAL, Decimal("-3800.00"), "Rent")
        case 10:
            yield _Entry(BANK, _at(day, 10, 20), f"B-WAGES{month}", Kind.WITHDRAWAL, Decimal("-9600.00"), "Wages")
        case 15:
            yield _Entry(BANK, _at(day, 11, 40), f"B-TAX{month}", Kind.TAX, -_price(number), "Value added tax")
        case 21:
            interest = (_price(number) * _INTEREST_RATE).quantize(_CENT)
            yield _Entry(BANK, _at(day, 0, 30), f"B-INT{month}", Kind.INTEREST, interest, "Interest")


def _price(number: int) -> Decimal:
    """Return a price between 60 and 900 yuan, to the cent."""
    return Decimal(6_000 + number * 7_919 % 84_001).scaleb(-2)


def _at(day: date, hour: int, minute: int = 0) -> datetime:
    return datetime.combine(day, time(hour, minute % 60))
