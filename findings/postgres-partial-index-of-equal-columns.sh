#!/usr/bin/env bash
# PostgreSQL 16.2: a partial index WHERE a = b cannot be used by a query that says a = b AND b = 'x', although that is the
# query it was made for.
#
# Guessed: the planner uses a partial index if the query repeats its condition word for word, beside a test of the indexed
# column.
# Seen: the planner first merges a = b and b = 'x' into one class of equal values, and so derives a = 'x' and drops a = b.
# Then nothing implies the condition of the index, and the table is read from end to end, even with sequential scans
# switched off. With (a = b) IS TRUE, in the index and in the query, nothing is merged, and the index is used. A
# constant on another column (c = 'x') does no harm.
#
# Output:
#   index where a = b, query a = b AND b = 'x': sequential scan
#   index where a = b, query a = b AND c = 'x': index scan
#   index where (a = b) IS TRUE, query (a = b) IS TRUE AND b = 'x': index scan
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pgserver==0.1.4
cat > "$folder/run.py" <<'PY'
import sys

import pgserver

CASES = (
    ("b", "a = b", "a = b AND b = 'x'"),
    ("c", "a = b", "a = b AND c = 'x'"),
    ("b", "(a = b) IS TRUE", "(a = b) IS TRUE AND b = 'x'"),
)

server = pgserver.get_server(sys.argv[1])
try:
    for column, condition, query in CASES:
        plan = server.psql(
            "DROP TABLE IF EXISTS t; CREATE TABLE t (a text, b text, c text);"
            "INSERT INTO t SELECT n, CASE WHEN n % 10 = 0 THEN n ELSE -n END, n FROM generate_series(1, 100000) AS n;"
            f"CREATE INDEX i ON t ({column}) WHERE {condition}; ANALYZE t; SET enable_seqscan = off;"
            f"EXPLAIN (COSTS FALSE) SELECT * FROM t WHERE {query}"
        )
        how = "index scan" if "Index" in plan else "sequential scan"
        print(f"index where {condition}, query {query}: {how}")
finally:
    server.cleanup()
PY
"$folder/venv/bin/python" "$folder/run.py" "$folder/data" 2>"$folder/log" | tee "$folder/seen"
sed -n 's/^#   //p' "$0" | diff - "$folder/seen"
