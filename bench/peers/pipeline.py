"""dlt, as its guides write it: its REST source over the pages, its own state, schema and loader into a database.

Run in an environment that has dlt: `python -m bench.peers.pipeline URL sqlite|duckdb FOLDER SINCE UNTIL`. Loads parquet
files into DuckDB, which is dlt's fastest way, and rows into SQLite through SQLAlchemy, which is the only one it has.
Prints how many rows the table has.
"""

# dlt is in an environment of its own alone; here these names have no types:
# mypy: disable-error-code="import-not-found,unused-ignore"

import json
import os
import sys
from pathlib import Path
from typing import Final

SIZE: Final = 10_000
SETTINGS: Final = {
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "RUNTIME__LOG_LEVEL": "ERROR",
    "DATA_WRITER__BUFFER_MAX_ITEMS": "100000",  # fewer, larger writes: it is faster so
    "NORMALIZE__WORKERS": "2",
    "LOAD__WORKERS": "2",
}


def main(url: str, kind: str, folder: Path, since: int, until: int) -> int:
    """Load every page of a range, both ends inclusive in Unix seconds. Gives the rows of the table."""
    os.environ.update(SETTINGS, DLT_DATA_DIR=str(folder / "dlt"))
    import dlt
    from dlt.sources.rest_api import rest_api_source

    source = rest_api_source(
        {
            "client": {"base_url": url},
            "resources": [
                {
                    "name": "flows",
                    "endpoint": {
                        "path": "v1/asset/cashflow",
                        "params": {"start_time": since, "end_time": until, "size": SIZE},
                        "data_selector": "data.list",
                        "paginator": {
                            "type": "page_number",
                            "base_page": 1,
                            "page_param": "page",
                            "total_path": None,
                            "stop_after_empty_page": True,
                        },
                    },
                }
            ],
        }
    )
    if kind == "duckdb":
        destination = dlt.destinations.duckdb(str(folder / "flows.duckdb"))
    else:
        destination = dlt.destinations.sqlalchemy(f"sqlite:///{folder / 'flows.db'}")
    pipeline = dlt.pipeline("bench", destination=destination, dataset_name="main" if kind == "sqlite" else "bench")
    pipeline.run(source, write_disposition="append", loader_file_format="parquet" if kind == "duckdb" else None)
    with pipeline.sql_client() as client:
        ((rows,),) = client.execute_sql("SELECT count(*) FROM flows")
    return int(rows)


if __name__ == "__main__":
    asked = sys.argv[1:]
    count = main(asked[0], asked[1], Path(asked[2]), int(asked[3]), int(asked[4]))
    sys.stdout.write(json.dumps({"rows": count}) + "\n")
