"""datasette over the conventional service's table, as an ASGI application, so that it can run two workers.

Run it in an environment with datasette: `uvicorn bench.peers.browse:app`. The database is opened as immutable, which is
its fastest mode. The page is a canned query, because datasette's table pages have no page numbers.
"""

# datasette is only in its own environment; here these names have no types:
# mypy: disable-error-code="import-not-found,unused-ignore"

import os

from datasette.app import Datasette

QUERY = """
SELECT transaction_flow_name, direction, business_type, balance, currency, business_time, symbol, description
FROM cash_flows WHERE account = :account AND business_time >= :since AND business_time <= :until
ORDER BY business_time DESC, id DESC LIMIT 50 OFFSET :skip
"""
DATABASE = os.environ["LIUSHUI_BENCH_DATABASE"]
PATH = "/conventional/page.json"

app = Datasette(
    [],
    immutables=[DATABASE],
    metadata={"databases": {"conventional": {"queries": {"page": {"sql": QUERY}}}}},
    settings={"num_sql_threads": 3, "suggest_facets": False},
).app()
