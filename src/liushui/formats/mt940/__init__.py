"""MT940, the customer statement of SWIFT, as banks let customers download it."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Final

from liushui.errors import WireError, short_repr
from liushui.files.cells import ZONE, Cells, encode_cells, parse_amount, parse_time
from liushui.files.content import Content
from liushui.files.contract import Claims, NumberedRow, RowCodec, StatedAmount, Statement, file_rules
from liushui.files.errors import FileError
from liushui.flow import Category, Direction, Flow, Kind
from liushui.rules import Paging, Rules

DAY: Final = timedelta(days=1)
_FIELD: Final = re.compile(r":(\d{2}[A-Z]?):(.*)", re.ASCII)
_LINE: Final = re.compile(
    r"(?P<value>\d{6})(?:(?P<entry>\d{4})| {4})?(?P<mark>R?[CD]|E[CD])(?P<funds>[A-Z])?(?P<amount>\d[\d,.]*)"
    r"(?P<type>[A-Z][A-Z0-9]{3})?(?P<rest>.*)",
    re.ASCII,
)
"""Field 61: value date, entry date (some banks leave four blanks), mark, funds code, amount, type, references."""
_BALANCE: Final = re.compile(r"(?P<mark>[CD])(?P<day>\d{6})(?P<currency>[A-Z]{3})(?P<amount>\d[\d,]*)", re.ASCII)
OUT_MARKS: Final = ("D", "RC", "ED")
"""D is a debit; RC takes back a credit, so it is money out; RD takes back a debit, so it is money in."""
KINDS: Final = {"CHG": Kind.FEE, "COM": Kind.FEE, "INT": Kind.INTEREST, "DIV": Kind.DIVIDEND, "TRF": Kind.TRANSFER}
IDENTITY: Final = ("61", "86", "#account", "#currency")


def read(cells: Cells) -> Flow:
    """The flow in a field 61 and the field 86 that follows it."""
    text = cells.required("61")
    match = _LINE.fullmatch(text.partition("\n")[0])
    if match is None:
        raise WireError("61", f"expected a statement line, got {short_repr(text)}")
    amount = parse_amount("61", match["amount"].rstrip(",") or "0", ",")
    is_out = match["mark"] in OUT_MARKS
    type_ = match["type"] or ""
    ours, _, theirs = match["rest"].partition("//")
    value = _day(match["value"], cells)
    return Flow(
        identity=cells.identity(*IDENTITY),
        at=_booked(match, value, cells),
        amount=-amount if is_out and amount else amount,
        currency=cells.required("#currency"),
        direction=Direction.OUT if is_out else Direction.IN,
        kind=KINDS.get(type_[1:], Kind.OTHER),
        category=Category.CASH,
        label=type_,
        subaccount=cells.text("#account"),
        settled_at=value,
        ref=theirs.strip() or None,
        order_ref=ours.strip() if ours.strip() not in ("", "NONREF") else None,
        note=cells.text("86").replace("\n", " ") or None,
        detail={"mt940:mark": match["mark"]},
    )


def _day(text: str, cells: Cells) -> datetime:
    return parse_time("61", text, cells.text(ZONE) or "UTC", ("%y%m%d",))


def _booked(match: "re.Match[str]", value: datetime, cells: Cells) -> datetime:
    """Return the day of the entry, which has no year: the one nearest to the value date."""
    if not match["entry"]:
        return value
    year = int(match["value"][:2])
    days = [_day_or_none(f"{(year + shift) % 100:02}{match['entry']}", cells) for shift in (-1, 0, 1)]
    near = [day for day in days if day is not None]
    if not near:
        raise WireError("61", f"expected an entry date such as 0131, got {short_repr(match['entry'])}")
    return min(near, key=lambda day: abs(day - value))


def _day_or_none(text: str, cells: Cells) -> datetime | None:
    try:
        return _day(text, cells)
    except WireError:
        return None  # 29 February of another year


@dataclass(frozen=True)
class Mt940:
    """The format. A statement states its account and the balances at both ends."""

    name: str = "mt940"
    title: str = "MT940 bank statement"
    is_recognised: bool = True
    states_totals: bool = True
    provider: str = ""

    @cached_property
    def rules(self) -> Rules[Paging]:
        """Lines have no id."""
        return file_rules("UTC", resolution=DAY, balances=None)

    @cached_property
    def codec(self) -> RowCodec:
        """Reads statement lines."""
        return RowCodec(read)

    def recognise(self, content: Content) -> bool:
        """Whether the text has the fields that every statement begins with."""
        return all(re.search(rf"^:{tag}", content.head, re.MULTILINE) for tag in ("20:", "25[A-Z]?:", "60[FM]:"))

    def explain(self, content: Content) -> str:
        """Return which of those fields the file lacks, if it has field 61, or that it is an interim report."""
        if re.search(r"^:34F:", content.head, re.MULTILINE):
            return "it is MT942, an interim report: export the end-of-day statement, MT940"
        if not re.search(r"^:61:", content.head, re.MULTILINE):
            return ""
        lacking = [tag for tag in ("20", "25", "60F") if f"\n:{tag}:" not in f"\n{content.head}"]
        return f"it lacks the fields {', '.join(lacking)}"

    def statements(self, content: Content, zone: str) -> Iterator[Statement]:
        """The statements, one after another. If a statement has several pages, each page is one statement."""
        for fields in _statements(content):
            yield _statement(fields, zone)


Field = tuple[int, str, str]
"""The line of a field, its tag and its text."""


def _statements(content: Content) -> Iterator[list[Field]]:
    """Yield the fields of each statement. Field 20 begins a statement."""
    fields: list[Field] = []
    with content.open() as text:
        for number, line in enumerate(text, 1):
            line = line.rstrip("\r\n")
            match = _FIELD.match(line)
            if match is not None and match[1] == "20" and any(tag != "20" for _, tag, _ in fields):
                yield fields
                fields = []
            if match is not None:
                fields.append((number, match[1], match[2]))
            elif fields and not line.startswith(("-}", "{")) and line.strip() not in ("", "-"):
                begin, tag, before = fields[-1]
                fields[-1] = (begin, tag, f"{before}\n{line}")
    if fields:
        yield fields


def _statement(fields: Sequence[Field], zone: str) -> Statement:
    texts = {tag: text for _, tag, text in reversed(fields)}
    account = texts.get("25", texts.get("25P", "")).partition("\n")[0].strip()
    claims = Claims()
    opening, closing = (_balance(fields, tags, account, zone) for tags in (("60F", "60M"), ("62F", "62M")))
    if opening is None or closing is None:
        raise FileError(
            "statement %(number)s: expected fields 60F and 62F, its balances: it was cut off",
            number=texts.get("20", ""),
        )
    claims.opening, claims.closing = [opening], [closing._replace(at=closing.at + DAY)]
    context = {"#account": account, "#currency": opening.currency, ZONE: zone}
    return Statement(_rows(fields, context), claims, account)


def _balance(fields: Sequence[Field], tags: Sequence[str], account: str, zone: str) -> StatedAmount | None:
    for number, tag, text in fields:
        if tag in tags:
            match = _BALANCE.match(text)
            if match is None:
                raise FileError(
                    "line %(line)s: expected a balance in field %(field)s, got %(got)s",
                    line=number,
                    field=tag,
                    got=short_repr(text),
                )
            amount = parse_amount(tag, match["amount"].rstrip(",") or "0", ",")
            signed = -amount if match["mark"] == "D" and amount else amount
            return StatedAmount(parse_time(tag, match["day"], zone, ("%y%m%d",)), match["currency"], signed, account)
    return None


def _rows(fields: Sequence[Field], context: dict[str, str]) -> Iterator[NumberedRow]:
    for index, (number, tag, text) in enumerate(fields):
        if tag == "61":
            follows = fields[index + 1] if index + 1 < len(fields) else (0, "", "")
            note = {"86": follows[2]} if follows[1] == "86" else {}
            yield NumberedRow(number, encode_cells({"61": text, **note, **context}))


FORMAT = Mt940()
