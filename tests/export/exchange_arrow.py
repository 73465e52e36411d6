"""A program that exports a ledger as Parquet and Arrow. It prints what pyarrow and DuckDB read, as JSON.

It needs pyarrow, which is in an environment of its own. Prints, for each reader, the exact sum by account, subaccount
and currency. `files` has the sums of two files of one month each, read as one data set.
"""

import json
import sys
from collections import defaultdict
from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from typing import Any

from liushui.errors import ConfigError
from liushui.export import arrow
from liushui.export.formats import FORMATS, ExportOptions, export_parts
from liushui.export.selection import ExportQuery
from liushui.ledger.engine import open_ledger
from liushui.ledger.read.filters import FlowFilter
from tests.export.books import model_of

NOVEMBER = date(2025, 11, 1)


def summed(rows: Iterable[tuple[str, str, str, Decimal]]) -> dict[str, str]:
    sums: defaultdict[str, Decimal] = defaultdict(Decimal)
    for account, subaccount, currency, amount in rows:
        sums[f"{account}/{subaccount} {currency}"] += amount
    return {key: format(amount.normalize(), "f") for key, amount in sums.items()}


def main() -> None:
    arrow.BATCH_ROWS = 4  # type: ignore[misc] # several row groups
    folder, long = Path(sys.argv[1]), sys.argv[2]
    model = model_of(open_ledger(str(folder / "ledger.db")))
    pyarrow, duckdb = import_module("pyarrow"), import_module("duckdb")
    parquet = import_module("pyarrow.parquet")

    def write(form: str, name: str, **fields: Any) -> Path:  # noqa: ANN401 - of a filter
        path = folder / name
        query = ExportQuery(FlowFilter(**fields))
        path.write_bytes(b"".join(export_parts(model, FORMATS[form], query, ExportOptions())))
        return path

    def by_pyarrow(table: Any) -> dict[str, str]:  # noqa: ANN401 - pyarrow's
        names = ("account", "subaccount", "currency", "amount")
        return summed(zip(*(table.column(name).to_pylist() for name in names), strict=True))

    def by_duckdb(paths: str) -> dict[str, str]:
        columns = "account, subaccount, currency, sum(amount)"
        query = f"SELECT {columns} FROM read_parquet('{paths}') GROUP BY ALL"
        return summed(duckdb.sql(query).fetchall())

    whole = write("parquet", "whole.parquet")
    write("parquet", "part-1.parquet", until=NOVEMBER)
    write("parquet", "part-2.parquet", since=NOVEMBER)
    table = parquet.read_table(whole)
    stream = pyarrow.ipc.open_stream(write("arrow", "whole.arrows").read_bytes()).read_all()
    refused = ""
    try:
        write("parquet", "long.parquet", accounts=(long,))
    except ConfigError as error:
        refused = str(error)
    result = {
        "pyarrow": by_pyarrow(table),
        "arrow": by_pyarrow(stream),
        "duckdb": by_duckdb(str(whole)),
        "files": by_duckdb(str(folder / "part-*.parquet")),
        "types": {field.name: str(field.type) for field in table.schema},
        "texts": table.column("amount_text").to_pylist(),
        "same": table.equals(stream),
        "groups": parquet.ParquetFile(whole).num_row_groups,
        "coverage": table.schema.metadata[b"liushui:coverage"].decode(),
        "refused": refused,
        "empty": parquet.read_table(write("parquet", "none.parquet", since=date(2090, 1, 1))).num_rows,
    }
    json.dump(result, sys.stdout)


main()
