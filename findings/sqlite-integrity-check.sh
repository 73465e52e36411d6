#!/usr/bin/env bash
# SQLite 3.40: PRAGMA integrity_check reports damage in a healthy WITHOUT ROWID table, if its last column is part of the
# primary key and a column before it is not.
#
# Guessed: integrity_check reports only what is wrong. Its documentation says that it looks for NOT NULL errors, among
# others, and returns the single row "ok" if it finds none.
# Seen: "NULL value in t.b" of a row whose b is 'x', with pysqlite3-binary 0.5.0 (SQLite 3.40.0), and with the SQLite
# 3.40.1 of Debian 12. The same table with its key columns first is ok, and so are rowid tables. SQLite 3.46.1 says ok.
# So a program that refuses a file whose check fails refuses healthy files. The order of columns avoids it.
#
# Output:
#   3.40.0 key column last: NULL value in t.b; b is 'x'
#   3.40.0 key columns first: ok; b is 'x'
#   3.40.0 key column last, with rowid: ok; b is 'x'
#   3.46.1 key column last: ok; b is 'x'
#   3.46.1 key columns first: ok; b is 'x'
#   3.46.1 key column last, with rowid: ok; b is 'x'
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat > "$folder/run.py" <<'PY'
import pysqlite3

TABLES = {
    "key column last": "a TEXT NOT NULL, b TEXT NOT NULL, n INTEGER NOT NULL, PRIMARY KEY (a, n)) WITHOUT ROWID",
    "key columns first": "a TEXT NOT NULL, n INTEGER NOT NULL, b TEXT NOT NULL, PRIMARY KEY (a, n)) WITHOUT ROWID",
    "key column last, with rowid": "a TEXT NOT NULL, b TEXT NOT NULL, n INTEGER NOT NULL, PRIMARY KEY (a, n))",
}
for name, definition in TABLES.items():
    connection = pysqlite3.connect(":memory:")
    connection.execute(f"CREATE TABLE t ({definition}")
    connection.execute("INSERT INTO t (a, b, n) VALUES ('x', 'x', 7)")
    (check,) = connection.execute("PRAGMA integrity_check").fetchone()
    (b,) = connection.execute("SELECT b FROM t").fetchone()
    print(f"{pysqlite3.sqlite_version} {name}: {check}; b is {b!r}")
PY
for version in 0.5.0 0.5.4; do
  python3 -m venv "$folder/venv-$version"
  "$folder/venv-$version/bin/pip" install --quiet --disable-pip-version-check "pysqlite3-binary==$version"
  "$folder/venv-$version/bin/python" "$folder/run.py" | tee -a "$folder/seen"
done
sed -n 's/^#   //p' "$0" | diff - "$folder/seen"
