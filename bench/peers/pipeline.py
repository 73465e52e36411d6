"""dlt as its guides recommend: its REST source for the pages, its own state, schema and loader into a database.

Run it in an environment with dlt: `python -m bench.peers.pipeline URL sqlite|duckdb FOLDER SINCE UNTIL`. Loads parquet
files into DuckDB, which is dlt's fastest way, and rows into SQLite through SQLAlchemy, which is its only way there.
Prints the number of rows of the table.
"""

# dlt is only in its own environment; here these names have no types:
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
    "DATA_WRITER__BUFFER_MAX_ITEMS": "100000",  # fewer, larger writes are faster
    "NORMALIZE__WORKERS": "2",
    "LOAD__WORKERS": "2",
}


def main(url: str, kind: str, folder: Path, since: int, until: int) -> int:
    """Load every page of a range, and return the number of rows. Both ends are inclusive Unix seconds."""
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
