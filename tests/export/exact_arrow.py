"""A program that exports a ledger as Parquet, and prints the amounts that pyarrow and DuckDB read, as JSON.

It needs pyarrow and DuckDB, which are in an environment of their own.
"""

import json
import sys
from importlib import import_module
from pathlib import Path

from liushui.export.formats import FORMATS, ExportOptions, export_parts
from liushui.export.selection import ExportQuery
from liushui.ledger.engine import open_ledger
from liushui.ledger.read.filters import FlowFilter
from tests.export.books import model_of


def main() -> None:
    folder = Path(sys.argv[1])
    duckdb, parquet = import_module("duckdb"), import_module("pyarrow.parquet")
    path = folder / "exact.parquet"
    model = model_of(open_ledger(str(folder / "ledger.db")))
    path.write_bytes(b"".join(export_parts(model, FORMATS["parquet"], ExportQuery(FlowFilter()), ExportOptions())))
    table = parquet.read_table(path)
    found = {
        "pyarrow": [format(amount, "f") for amount in table.column("amount").to_pylist()],
        "duckdb": [text for (text,) in duckdb.sql(f"SELECT amount::VARCHAR FROM read_parquet('{path}')").fetchall()],
        "texts": table.column("amount_text").to_pylist(),
    }
    json.dump(found, sys.stdout)


main()
