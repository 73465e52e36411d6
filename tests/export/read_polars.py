"""A program that reads a Parquet file and an Arrow stream with polars. It prints the result as JSON.

The output for each of the two: the type of each column, and polars' sums by account, subaccount and currency.
"""

import json
import sys
from importlib import import_module
from typing import Any

polars: Any = import_module("polars")


def described(frame: Any) -> dict[str, object]:  # noqa: ANN401 - polars'
    keys = ["account", "subaccount", "currency"]
    sums = frame.group_by(keys).agg(polars.col("amount").sum())
    rows = sums.select(*keys, "amount").rows()
    return {
        "types": {name: str(kind) for name, kind in frame.schema.items()},
        "sums": {f"{row[0]}/{row[1]} {row[2]}": format(row[3].normalize(), "f") for row in rows},
        "texts": frame["amount_text"].to_list(),
    }


frames = polars.read_parquet(sys.argv[1]), polars.read_ipc_stream(sys.argv[2])
json.dump([described(frame) for frame in frames], sys.stdout)
