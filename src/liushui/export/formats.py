"""The export formats: their names, and the functions that write them. A format's module is imported when used."""

from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from importlib import import_module
from typing import TYPE_CHECKING, Final, NamedTuple

from liushui.errors import ConfigError, short_repr
from liushui.export.account_map import AccountMap

if TYPE_CHECKING:  # the command's help lists the formats, and needs no ledger
    from liushui.export.selection import ExportQuery, Selection
    from liushui.ledger.read.model import ReadModel


class Refusal(StrEnum):
    """The reason why a format cannot hold an export, for messages in the reader's language."""

    CURRENCY = "currency"
    """It cannot name some of the currencies."""
    BALANCE = "balance"
    """It needs opening balances, and one is not known."""
    EMPTY = "empty"
    """It needs flows or a balance, and the export has neither."""
    DIGITS = "digits"
    """Some amounts have more digits than the format holds."""
    MAP = "map"
    """It needs an account map."""
    PACKAGE = "package"
    """It needs a package that is not installed."""


class CannotExport(ConfigError):
    """A format cannot hold an export. The text names the values that it cannot hold."""

    def __init__(self, refusal: Refusal, text: str) -> None:
        super().__init__(text)
        self.refusal = refusal


class ExportOptions(NamedTuple):
    """How a file is written. `bom`: CSV begins with a byte order mark, so that Excel reads it as UTF-8. `opening`:
    journals begin with the opening balances."""

    account_map: AccountMap | None = None
    bom: bool = False
    opening: bool = True


Write = Callable[["Selection", ExportOptions], Iterator[bytes]]
"""Writes a selection, in pieces. Raises all faults of the input as ConfigError before the first piece."""


class Format(NamedTuple):
    """A format. `function` in `module` of this package is its `Write`. `needs_map`: the format is double entry, so an
    account map has to name both accounts. `takes_filter`: a file may contain only some of a range's flows. `has_codes`:
    its accounts are subject codes, which differ from books to books."""

    name: str
    title: str
    extension: str
    media_type: str
    module: str
    function: str
    needs_map: bool = False
    takes_filter: bool = False
    has_codes: bool = False
    is_text: bool = True

    @property
    def address(self) -> str:
        """The end of its download address: its extension. Voucher formats use their name instead, because some of them
        are workbooks, as tables are."""
        return self.name if self.has_codes else self.extension

    @property
    def takes_changes(self) -> bool:
        """Whether it can hold only the changes since an earlier export."""
        return self.needs_map or self.module == "rows"

    @property
    def write(self) -> Write:
        """The function that writes the format. Its module is imported when it is called."""
        function: Write = getattr(import_module(f"{__package__}.{self.module}"), self.function)
        return function


_XLSX: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
_PARQUET: Final = "application/vnd.apache.parquet"
_ARROW: Final = "application/vnd.apache.arrow.stream"

_TABLES: Final = (
    Format("csv", "CSV", "csv", "text/csv", "rows", "csv_parts"),
    Format("jsonl", "JSON Lines", "jsonl", "application/jsonl", "rows", "jsonl_parts"),
    Format("xlsx", "Excel", "xlsx", _XLSX, "xlsx", "xlsx_parts", is_text=False),
    Format("parquet", "Parquet", "parquet", _PARQUET, "arrow", "parquet_parts", is_text=False),
    Format("arrow", "Arrow", "arrows", _ARROW, "arrow", "arrow_parts", is_text=False),
)
_BANKS: Final = (
    Format("ofx", "OFX 1.02", "ofx", "application/x-ofx", "ofx", "ofx_parts"),
    Format("camt053", "CAMT.053", "xml", "application/xml", "camt053", "camt053_parts"),
)
_JOURNALS: Final = (
    Format("beancount", "Beancount", "beancount", "text/plain", "beancount", "beancount_parts"),
    Format("hledger", "hledger", "journal", "text/plain", "ledger_text", "journal_parts"),
    Format("ledger", "Ledger", "ledger", "text/plain", "ledger_text", "journal_parts"),
)
_VOUCHERS: Final = (
    Format("yonyou", "用友 U8 vouchers", "txt", "text/plain; charset=gb18030", "vouchers", "yonyou_parts"),
    Format("kingdee", "金蝶 vouchers", "xlsx", _XLSX, "vouchers", "kingdee_parts", is_text=False),
)

FORMATS: Final[Mapping[str, Format]] = {
    **{form.name: form._replace(takes_filter=True) for form in _TABLES},
    **{form.name: form for form in _BANKS},
    **{form.name: form._replace(needs_map=True) for form in _JOURNALS},
    **{form.name: form._replace(needs_map=True, has_codes=True) for form in _VOUCHERS},
}
"""The formats by name."""


def get_format(name: str) -> Format:
    """Return the format with this name. Raises ConfigError, which lists the existing names."""
    try:
        return FORMATS[name]
    except KeyError:
        raise ConfigError(f"format: expected one of {', '.join(FORMATS)}, got {short_repr(name)}") from None


def export_parts(model: "ReadModel", form: Format, query: "ExportQuery", options: ExportOptions) -> Iterator[bytes]:
    """Yield the file of a query in pieces, from one state of the ledger. The first piece raises all faults of the
    input: AccountNotFound, ConfigError."""
    from liushui.export.selection import selecting

    with selecting(model, query) as selection:
        yield from form.write(selection, options)
