#!/usr/bin/env bash
# pip-audit 2.10.1: where the advisory service knows none of the packages, it says "No known vulnerabilities found" and
# exits with 0. Nothing was audited.
#
# Guessed: an audit of a package whose advisories cannot be read fails, or at least does not end like a clean one: the
# service's answer is 404, and a lost connection does end in an error.
# Seen: a 404 makes a package "skipped". It is listed on standard output, and neither the sentence nor the exit code tell.
# So is every package behind an index mirror that has no /pypi/NAME/VERSION/json: each audit there is green. --strict
# ends at the first skipped package. The JSON format has a `skip_reason` for each, beside the holes of the others.
#
# Output:
#   exit code 0: No known vulnerabilities found
#   skipped: 1 of 1
#   with --strict: exit code 1
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pip-audit==2.10.1
echo "a-package-that-is-not-published==1.0" > "$folder/requirements.txt"
audit() {
  "$folder/venv/bin/pip-audit" --progress-spinner off --disable-pip --no-deps --cache-dir "$folder/cache" \
    --requirement "$folder/requirements.txt" "$@"
}
{
  code=0
  audit --format json > "$folder/report.json" 2> "$folder/said" || code=$?
  echo "exit code $code: $(tail -n 1 "$folder/said")"
  python3 - "$folder/report.json" <<'PY'
import json, sys

packages = json.load(open(sys.argv[1]))["dependencies"]
print("skipped:", sum("skip_reason" in package for package in packages), "of", len(packages))
PY
  code=0
  audit --strict > /dev/null 2>&1 || code=$?
  echo "with --strict: exit code $code"
} | tee "$folder/seen"
sed -n 's/^#   //p' "$0" | diff - "$folder/seen"
